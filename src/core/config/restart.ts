import { OPTIONS } from './options.ts';
import type { FixedConfig } from './tunnel-config.ts';

/** The options whose effect is another now, and that only a restart gives it to the tunnel. */
export function needsRestart(running: FixedConfig, wanted: FixedConfig): readonly string[] {
  return OPTIONS.filter(({ fixed }) => fixed && fixed(running) !== fixed(wanted)).map(
    ({ name }) => name,
  );
}

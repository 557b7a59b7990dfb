import type { HookEnvironment } from '../core/hooks.ts';
import type { Millis } from '../core/units.ts';

/** How a command ended: well, or why not. `said`: the end of what it wrote. */
export type HookResult = { readonly failure: string | undefined; readonly said: string };

/** Runs commands of the operator. */
export interface HookRunner {
  /** Runs a command by the shell, for `limit` milliseconds at most; never rejects. */
  run(command: string, environment: HookEnvironment, limit: Millis): Promise<HookResult>;
}

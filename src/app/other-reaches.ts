import type { OtherReach } from '../ports/reach.ts';
import type { RunList } from '../ports/run-store.ts';

/** What tunnels besides that of this device have changed of the host around them. */
export function otherReaches(runs: RunList, device: string): readonly OtherReach[] {
  return runs
    .list()
    .filter((entry) => entry.device !== device)
    .map(({ device, record, state }) => ({
      device,
      running: state !== undefined,
      reach: record.reach,
    }));
}

import type { TunnelConfig } from '../core/config/tunnel-config.ts';
import type { PlaneFactory, PlaneJournal } from '../ports/data-plane.ts';
import type { Log } from '../ports/log.ts';
import type { Tell } from '../ports/tell.ts';
import type { RunClaim, RunRecord } from '../ports/run-store.ts';

/* What a run leaves for the next one when it is cut short, and what the next one makes of it. */

type Ports = {
  readonly planes: readonly PlaneFactory[];
  readonly log: Log;
  readonly tell: Tell;
};

/** What a run with another plane left would be in this one's way. */
export async function cleanOtherPlane(
  { previous }: RunClaim,
  chosen: PlaneFactory,
  { planes, log, tell }: Ports,
): Promise<void> {
  if (previous === undefined || previous.plane === chosen.name) return;
  const factory = planes.find(({ name }) => name === previous.plane);
  tell({ kind: 'earlier-plane-cleaned', plane: previous.plane });
  await factory?.clean({ config: previous.config, journal: heldJournal(previous), log });
}

/** A dead run's journal; what is saved to it is not kept, as its record is about to be replaced. */
function heldJournal(record: RunRecord): PlaneJournal {
  let { journal } = record;
  return {
    load: () => journal,
    save(next) {
      journal = next;
    },
  };
}

/**
 * For the run directory: enough to clean up by, nothing to authenticate with. Of several peers nothing:
 * the record is written as a whole whenever something changes.
 */
export function forRecord(config: TunnelConfig): TunnelConfig {
  const [sole, ...others] = config.peers;
  if (sole === undefined || others.length > 0) return { ...config, hooks: {}, peers: [] };
  return {
    ...config,
    hooks: {},
    peers: [{ ...sole, proof: { kind: 'none' } }],
  };
}

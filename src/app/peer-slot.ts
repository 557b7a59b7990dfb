import type { Path } from '../core/addr.ts';
import type { PeerConfig } from '../core/config/tunnel-config.ts';
import { NOWHERE } from '../core/session/directory.ts';
import type { SessionState } from '../core/session/step.ts';
import type { SessionEntry } from '../core/session/table.ts';
import { NO_RANK } from '../core/ranked-list.ts';
import { NO_TIMER, type Timed } from '../core/timer-heap.ts';
import type { TagKeys } from '../core/tag/types.ts';
import type { Millis } from '../core/units.ts';

/**
 * All that the app keeps of a peer for good: a tunnel may have 100 000 of them. What only some have at
 * a time (a failure, a look-up, memory that waits for a disk) is in maps of its own.
 */
export class PeerSlot implements SessionEntry, Timed {
  peer: PeerConfig;
  path: Path | undefined;
  place = NOWHERE;
  rank = NO_RANK;
  state: SessionState | undefined;
  wakeAt: Millis | undefined;
  timerPlace = NO_TIMER;
  /** What the plane carries. */
  carried: Path | undefined;
  /** With what tags it carries it. */
  tags: TagKeys | undefined;

  constructor(peer: PeerConfig) {
    this.peer = peer;
    this.path = undefined;
    this.state = undefined;
    this.wakeAt = undefined;
    this.carried = undefined;
    this.tags = undefined;
  }
}

import { TimerHeap } from '../core/timer-heap.ts';
import type { Instant, Millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import { WAKE_BATCH } from './limits.ts';
import type { PeerSlot } from './peer-slot.ts';

/** Peers' timers: one heap, and one timer of the clock for the earliest. */
export class WakeUps {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #timers = new TimerHeap<PeerSlot>();
  /** What the clock's timer is set to. */
  #at: Millis | undefined;
  #cancel: (() => void) | undefined;
  #closed = false;

  /** `onDue`: `wakeDue` has something to do. */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Sets, moves or (undefined) drops a peer's wake-up; counts when `arm` is called. */
  set(slot: PeerSlot, at: Millis | undefined): void {
    this.#timers.set(slot, at);
  }

  /** Sets the one timer of the clock to the earliest wake-up. */
  arm(): void {
    const { earliest } = this.#timers;
    if (earliest === this.#at || this.#closed) return;
    this.#cancel?.();
    this.#at = earliest;
    this.#cancel =
      earliest === undefined
        ? undefined
        : this.#clock.callAt(earliest, () => {
            this.#cancel = undefined;
            this.#onDue();
          });
  }

  /** Wakes those whose time has come, one after the other; the others of a big batch a turn later. */
  async wakeDue(wake: (slot: PeerSlot, now: Instant) => Promise<void>): Promise<void> {
    for (let count = 0; count < WAKE_BATCH; count++) {
      const now = this.#clock.now();
      const slot = this.#timers.takeDue(now.monotonic);
      if (slot === undefined) break;
      await wake(slot, now);
    }
    // Also where the earliest is the same as before: its call has been used up.
    this.#at = undefined;
    this.arm();
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }
}

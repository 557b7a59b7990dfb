import { millis, type Millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import { REAUTH_SPREAD } from './limits.ts';
import type { PeerSlot } from './peer-slot.ts';

/** All peers authenticate, as the operator asked: the first at once, the others spread over a while. */
export class Reauthentication {
  readonly #clock: Clock;
  readonly #ask: (slot: PeerSlot) => Promise<void>;
  /** Peers that still have to. */
  #left: PeerSlot[] = [];
  #cancel: (() => void) | undefined;

  /** `ask` has one peer authenticate; it must not reject. */
  constructor(clock: Clock, ask: (slot: PeerSlot) => Promise<void>) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** Resolves when the first has been asked. Of an earlier call nobody is left. */
  async begin([first, ...others]: Iterable<PeerSlot>): Promise<void> {
    this.#left = others;
    if (first) await this.#ask(first);
    if (others.length > 0) this.#next(millis(REAUTH_SPREAD / others.length));
  }

  close(): void {
    this.#cancel?.();
  }

  #next(pause: Millis): void {
    this.#cancel?.();
    this.#cancel = this.#clock.callAt(millis(this.#clock.now().monotonic + pause), () => {
      const slot = this.#left.shift();
      if (slot === undefined) return;
      void this.#ask(slot);
      this.#next(pause);
    });
  }
}

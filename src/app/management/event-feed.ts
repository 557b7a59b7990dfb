import type { PeerId } from '../../core/config/tunnel-config.ts';
import type { TunnelEvent } from '../../core/events/event.ts';
import { wordsOf } from '../../core/events/words.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EventFeed, ToldEvent } from '../../ports/control.ts';
import type { Tell } from '../../ports/tell.ts';

/** Passes on what a tunnel tells of itself to whoever follows it. Nobody does: it costs nothing. */
export class LiveFeed implements EventFeed {
  readonly #clock: Clock;
  readonly #followers = new Set<(told: ToldEvent) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `take` with every event from now on, which must not throw; returns what stops it. */
  follow(take: (told: ToldEvent) => void): () => void {
    this.#followers.add(take);
    return () => void this.#followers.delete(take);
  }

  /** `tell`, and those who follow besides. */
  besides(tell: Tell): Tell {
    return (event, peer) => {
      tell(event, peer);
      if (this.#followers.size > 0) this.#pass(event, peer);
    };
  }

  #pass(event: TunnelEvent, peer: PeerId | undefined): void {
    const { level, words, fields } = wordsOf(event);
    const { kind, ...values } = event;
    const told = { at: this.#clock.now().unix, peer, kind, level, words, fields, values };
    for (const take of this.#followers) take(told);
  }
}

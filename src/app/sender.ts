import type { TroubleOf } from '../core/events/trouble.ts';
import { troubleWords } from '../core/events/trouble-words.ts';
import { sameValue } from '../core/same-value.ts';
import type { SessionEffect } from '../core/session/types.ts';
import type { DataPlane } from '../ports/data-plane.ts';
import type { Tell } from '../ports/tell.ts';
import { explain } from './explain.ts';
import { SEND_TROUBLES_MAX } from './limits.ts';
import type { PeerSlot } from './peer-slot.ts';

type Send = Extract<SessionEffect, { readonly kind: 'send' }>;

/** Sends sessions' packets, and keeps in mind where that fails. */
export class Sender {
  readonly #plane: Pick<DataPlane, 'send'>;
  readonly #tell: Tell;
  readonly #troubles = new Map<PeerSlot, TroubleOf<'not-sent'>>();

  constructor(plane: Pick<DataPlane, 'send'>, tell: Tell) {
    this.#plane = plane;
    this.#tell = tell;
  }

  /** What fails now, each failure once. */
  get troubles(): readonly TroubleOf<'not-sent'>[] {
    const byWords = new Map([...this.#troubles.values()].map((one) => [troubleWords(one), one]));
    return [...byWords.values()];
  }

  /** Never rejects. */
  async send(slot: PeerSlot, { path, payload, ttl, purpose, probe }: Send): Promise<void> {
    try {
      await this.#plane.send({ path, payload, ttl, probe });
    } catch (error) {
      // A probe that is too big for the link says just that.
      if (probe === true) this.#tell({ kind: 'probe-not-sent', ...explain(error) });
      else this.#failed(slot, purpose, error);
      return;
    }
    if (this.#troubles.delete(slot) && this.#troubles.size === 0) {
      this.#tell({ kind: 'sends-again' });
    }
  }

  /** An answer to somebody who is nobody's peer; one that cannot be sent is lost without a word. Never rejects. */
  async turnAway({ path, payload, ttl }: Send): Promise<void> {
    await this.#plane.send({ path, payload, ttl }).catch(() => undefined);
  }

  forget(slot: PeerSlot): void {
    this.#troubles.delete(slot);
  }

  #failed(slot: PeerSlot, purpose: Send['purpose'], error: unknown): void {
    const failure = explain(error);
    const trouble = { kind: 'not-sent', purpose, error: failure.error } as const;
    // The same failure again is no news: keepalives would fill the log while a link is down.
    const again = this.troubles.some((known) => sameValue(known, trouble));
    this.#tell({ kind: 'not-sent', purpose, again, ...failure });
    if (this.#troubles.has(slot) || this.#troubles.size < SEND_TROUBLES_MAX) {
      this.#troubles.set(slot, trouble);
    }
  }
}

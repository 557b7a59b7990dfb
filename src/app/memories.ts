import type { PeerConfig, PeerId } from '../core/config/tunnel-config.ts';
import type { TroubleOf } from '../core/events/trouble.ts';
import type { SessionMemory } from '../core/session/types.ts';
import { millis, type Millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { Tell } from '../ports/tell.ts';
import type { MemoryJournal } from '../ports/run-store.ts';
import { explain } from './explain.ts';
import { CLOSE_TIMEOUT, MEMORY_DELAY, MEMORY_PAUSE, MEMORY_RETRY } from './limits.ts';
import { waitAtMost } from './wait-at-most.ts';

type Options = {
  readonly journal: MemoryJournal;
  readonly clock: Clock;
  readonly tell: Tell;
};

/**
 * What is remembered of peers, written as sessions say. What cannot be written lets nobody in: a packet
 * that was accepted and is not on the disk could be sent again after a crash. It is told loudly and
 * tried again.
 */
export class Memories {
  readonly #options: Options;
  /** Whom the earlier run had admitted is being admitted again. */
  #beginning = true;
  #trouble: TroubleOf<'not-remembered'> | undefined;
  #failedAt: Millis | undefined;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
    for (const error of options.journal.damage) {
      options.tell({ kind: 'memory-damaged', error });
    }
  }

  /** What is wrong. */
  get trouble(): TroubleOf<'not-remembered'> | undefined {
    return this.#trouble;
  }

  /** What is remembered of a peer; after the start, of what protects from replays only. */
  recall(peer: PeerConfig): SessionMemory | undefined {
    const memory = this.#options.journal.load(peer);
    return memory && !this.#beginning ? { ...memory, remote: undefined } : memory;
  }

  /** Peers come that were another tunnel's, or this one's once: what any has seen of them counts. */
  learn(peers: readonly PeerConfig[]): void {
    if (peers.length > 0) this.#options.journal.learn(peers);
  }

  /** Whether a peer's memory names somebody who is to be admitted. */
  names(peer: PeerConfig): boolean {
    return this.recall(peer)?.remote !== undefined;
  }

  /** Everybody whom the earlier run had admitted is back: from now on memory admits nobody. */
  begun(): void {
    this.#beginning = false;
  }

  /** Takes memory that nothing depends on; it is written soon. */
  note(peer: PeerConfig, memory: SessionMemory): void {
    this.#options.journal.note(peer, memory);
    this.#later(MEMORY_DELAY);
  }

  /** Has memory written; resolves when it is on the disk, with whether it is. Never rejects. */
  async save(peer: PeerConfig, memory: SessionMemory): Promise<boolean> {
    const { journal, clock } = this.#options;
    journal.note(peer, memory);
    const since = this.#failedAt === undefined ? Infinity : clock.now().monotonic - this.#failedAt;
    return since >= MEMORY_PAUSE && this.#write(peer.id);
  }

  /** A peer is gone: nobody is remembered of it. */
  forget(peer: PeerConfig): void {
    this.#options.journal.forget(peer);
    this.#later(MEMORY_DELAY);
  }

  /** Writes what is not written yet; not longer than `CLOSE_TIMEOUT`. */
  async close(): Promise<void> {
    const { journal, clock } = this.#options;
    this.#cancel?.();
    this.#closed = true;
    const work = this.#write(undefined).then(() => journal.close());
    await waitAtMost(CLOSE_TIMEOUT, work, clock);
  }

  async #write(peer: PeerId | undefined): Promise<boolean> {
    const { journal, clock, tell } = this.#options;
    try {
      await journal.flush();
    } catch (error) {
      const failure = explain(error);
      const again = this.#trouble !== undefined;
      this.#failedAt = clock.now().monotonic;
      this.#trouble = { kind: 'not-remembered', error: failure.error };
      tell({ kind: 'not-remembered', again, ...failure }, peer);
      this.#later(MEMORY_RETRY);
      return false;
    }
    if (this.#trouble !== undefined) tell({ kind: 'remembers-again' });
    this.#trouble = undefined;
    this.#failedAt = undefined;
    return true;
  }

  #later(pause: Millis): void {
    if (this.#cancel !== undefined || this.#closed) return;
    const { clock } = this.#options;
    this.#cancel = clock.callAt(millis(clock.now().monotonic + pause), () => {
      this.#cancel = undefined;
      void this.#write(undefined);
    });
  }
}

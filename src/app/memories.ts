import type { PeerConfig, PeerId } from '../core/config/tunnel-config.ts';
import type { SessionMemory } from '../core/session/types.ts';
import { millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Recollection } from '../ports/run-store.ts';
import { explain } from './explain.ts';
import { MEMORY_RETRY } from './limits.ts';

/** The store of one tunnel. */
export interface PeerMemory {
  /** Never throws. */
  load(peer: PeerConfig): Recollection;
  /** Throws when it cannot be written. `durable`: on the disk when it returns. */
  save(peer: PeerConfig, memory: SessionMemory, durable: boolean): void;
}

type Options = {
  readonly store: PeerMemory;
  /** Whether who was admitted counts: only after a run that was cut short. */
  readonly recallRemotes: boolean;
  readonly clock: Clock;
  readonly log: Log;
};

/**
 * What is remembered of peers, read when it is needed and written as sessions say. Memory that cannot
 * be written does not stop the tunnel: while this process lives, its own state protects from replays,
 * and a full disk should not cost the only way to a machine. It is told loudly and tried again.
 */
export class Memories {
  readonly #options: Options;
  readonly #unsaved = new Map<
    PeerId,
    { readonly peer: PeerConfig; readonly memory: SessionMemory }
  >();
  /** Read before the tunnel came up. */
  readonly #read = new Map<PeerId, SessionMemory | undefined>();
  #recallRemotes: boolean;
  #trouble: string | undefined;
  #cancelRetry: (() => void) | undefined;
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
    this.#recallRemotes = options.recallRemotes;
  }

  /** What is wrong, in words. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /**
   * What an earlier run remembered of a peer. Who was admitted counts only where that run was cut
   * short: one that ended in order, or before the machine was started again, has let its peers go.
   * What protects from replays counts always.
   */
  recall(peer: PeerConfig): SessionMemory | undefined {
    if (this.#read.has(peer.id)) {
      const memory = this.#read.get(peer.id);
      this.#read.delete(peer.id);
      return memory;
    }
    const { store, log } = this.#options;
    const unsaved = this.#unsaved.get(peer.id);
    const { memory: stored, damage } = unsaved
      ? { memory: unsaved.memory, damage: undefined }
      : store.load(peer);
    const memory = stored && !this.#recallRemotes ? { ...stored, remote: undefined } : stored;
    if (damage !== undefined) {
      log('error', 'session memory is damaged: only packets signed from now on are accepted', {
        peer: peer.id,
        error: damage,
      });
      if (memory) this.save(peer, memory, true);
    }
    return memory;
  }

  /** Reads a peer's memory ahead and writes it back: throws when nothing could be remembered of it. */
  check(peer: PeerConfig): void {
    const memory = this.recall(peer);
    this.#read.set(peer.id, memory);
    this.#options.store.save(peer, memory ?? { remote: undefined, replay: undefined }, true);
  }

  /** Whether a peer's memory names somebody who is to be admitted; what was read serves its session. */
  names(peer: PeerConfig): boolean {
    const memory = this.recall(peer);
    if (memory?.remote === undefined) return false;
    this.#read.set(peer.id, memory);
    return true;
  }

  /** Everybody whom the earlier run had admitted is back: from now on memory admits nobody. */
  begun(): void {
    this.#recallRemotes = false;
  }

  save(peer: PeerConfig, memory: SessionMemory, durable: boolean): void {
    const { store, log } = this.#options;
    try {
      store.save(peer, memory, durable);
    } catch (error) {
      this.#unsaved.set(peer.id, { peer, memory });
      const fields = explain(error);
      const news = this.#trouble === undefined || this.#unsaved.size === 1;
      this.#trouble = `replay protection would not survive a restart: ${fields['error']}`;
      const told = { peer: peer.id, ...fields };
      log(news ? 'error' : 'debug', 'cannot write the session memory', told);
      this.#retryLater();
      return;
    }
    this.#unsaved.delete(peer.id);
    if (this.#trouble === undefined || this.#unsaved.size > 0) return;
    log('info', 'memory is written again');
    this.#trouble = undefined;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  /** A last try for what could not be written. */
  close(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#closed = true;
    this.#saveAgain();
  }

  #retryLater(): void {
    if (this.#cancelRetry !== undefined || this.#closed) return;
    const { clock } = this.#options;
    this.#cancelRetry = clock.callAt(millis(clock.now().monotonic + MEMORY_RETRY), () => {
      this.#cancelRetry = undefined;
      this.#saveAgain();
    });
  }

  #saveAgain(): void {
    for (const { peer, memory } of [...this.#unsaved.values()]) {
      this.save(peer, memory, true);
      // One that fails says enough about the others; they wait for the next try.
      if (this.#unsaved.has(peer.id) && !this.#closed) return this.#retryLater();
    }
  }
}

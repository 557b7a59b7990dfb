/*
 * The order of a tunnel's work.
 *
 * Events take turns: each is given to its session at once when its turn comes. What a session wants done
 * uses the plane, one piece of work at a time, and belongs to peers: a peer's work is done in the order
 * of its events. Work that has to wait for the disk is held, and with it all later work of its peers;
 * turns go on meanwhile, and the work of others is done.
 */
export class Turns<Peer> {
  readonly #onFault: (error: unknown) => void;
  /** The last work of peers that have work held. */
  readonly #held = new Map<Peer, Promise<void>>();
  #turn: Promise<void> = Promise.resolve();
  #plane: Promise<void> = Promise.resolve();
  #closed = false;

  /** `onFault`: work has rejected, which no work should. */
  constructor(onFault: (error: unknown) => void) {
    this.#onFault = onFault;
  }

  /** Resolves when the turn is over. */
  take(turn: () => void | Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(() => this.#guarded(turn));
    return this.#turn;
  }

  /** Uses the plane between other work. */
  use(work: () => Promise<void>): Promise<void> {
    this.#plane = this.#plane.then(() => this.#guarded(work));
    return this.#plane;
  }

  /**
   * A turn that is all `work`'s, with the plane to itself; with `settled` it waits until no work is held.
   * Rejects as `work` does, or when closed.
   */
  whole<T>(work: () => Promise<T>, { settled = false } = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const turn = async (): Promise<void> => {
        if (settled) await this.#settled();
        await this.use(() => work().then(resolve, reject));
      };
      void this.take(turn).then(() => reject(new Error('the tunnel is being taken down')));
    });
  }

  /**
   * Does work of peers when nothing of theirs is held and `ready` has resolved. `held` = it has to wait;
   * then a turn need not wait for it.
   */
  perform(
    peers: readonly Peer[],
    ready: Promise<unknown> | undefined,
    work: () => Promise<void>,
  ): { readonly held: boolean; readonly done: Promise<void> } {
    const before = peers.flatMap((peer) => this.#held.get(peer) ?? []);
    if (ready === undefined && before.length === 0) return { held: false, done: this.use(work) };
    const done = Promise.all([ready, ...before]).then(() => this.use(work));
    for (const peer of peers) {
      this.#held.set(peer, done);
      void done.then(() => {
        if (this.#held.get(peer) === done) this.#held.delete(peer);
      });
    }
    return { held: true, done };
  }

  /** Whether work of any of them is held. */
  holds(peers: readonly Peer[]): boolean {
    return peers.some((peer) => this.#held.has(peer));
  }

  /** In a turn: resolves when no work is held any more. */
  async #settled(): Promise<void> {
    while (this.#held.size > 0) await Promise.all(this.#held.values());
  }

  /** Takes no more turns and work; resolves when what is in hand is done. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn;
    await this.#plane;
  }

  async #guarded(work: () => void | Promise<void>): Promise<void> {
    if (this.#closed) return;
    try {
      await work();
    } catch (error) {
      this.#onFault(error);
    }
  }
}

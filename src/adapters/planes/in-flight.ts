/** Packets of one plane that are handled at one time. */
export const PACKETS_IN_FLIGHT = 256;

/** Work that goes on side by side, so much of it at most. Work must not reject. */
export class InFlight {
  readonly #most: number;
  readonly #works = new Set<Promise<void>>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Resolves when there is room for more. */
  async add(work: Promise<void>): Promise<void> {
    const kept = work.then(() => {
      this.#works.delete(kept);
    });
    this.#works.add(kept);
    if (this.#works.size >= this.#most) await Promise.race(this.#works);
  }
}

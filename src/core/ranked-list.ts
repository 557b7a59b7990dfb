/** Something in a RankedList; `rank` is the list's to write. */
export interface Ranked {
  rank: number;
}

/** The rank of what is in no list. */
export const NO_RANK = -1;

/**
 * Objects in the order in which they came, which can be gone through from any of them on. What leaves
 * leaves a gap; when half are gaps they are closed, so that leaving costs the same on the average however
 * many there are.
 */
export class RankedList<T extends Ranked> {
  #items: (T | undefined)[] = [];
  #size = 0;

  /** Puts in, at the end, what is in no list. */
  add(item: T): void {
    item.rank = this.#items.push(item) - 1;
    this.#size += 1;
  }

  /** No effect on what is not in the list. */
  remove(item: T): void {
    if (this.#items[item.rank] !== item) return;
    this.#items[item.rank] = undefined;
    item.rank = NO_RANK;
    this.#size -= 1;
    if (this.#items.length >= 2 * this.#size) this.#closeGaps();
  }

  /** Those that came after one, or all of them. Nothing may be added or removed meanwhile. */
  *after(item?: T): Generator<T> {
    for (let rank = (item?.rank ?? NO_RANK) + 1; rank < this.#items.length; rank++) {
      const next = this.#items[rank];
      if (next !== undefined) yield next;
    }
  }

  #closeGaps(): void {
    this.#items = this.#items.filter((item) => item !== undefined);
    for (const [rank, item] of this.#items.entries()) if (item) item.rank = rank;
  }
}

/** Which session's packets bear which index: the numbers that this side has chosen (docs/PROTOCOL.md). */
import { getU32be } from '../bytes.ts';

/** Indexes are of 24 bits, and never 0. */
const INDEX_MASK = 0xff_ff_ff;

/** Indexes that a tunnel may have in use: then one drawn at random is free in a few tries. */
const INDEXES_MAX = 2 ** 23;

const NONE: readonly number[] = [];

export class IndexBook<Owner> {
  readonly #owners = new Map<number, Owner>();

  /** A number that nobody has, at random, so that it tells nothing and is not soon used again. */
  draw(random: (length: number) => Uint8Array): number {
    if (this.#owners.size > INDEXES_MAX) throw new RangeError('too many sessions');
    for (;;) {
      const index = getU32be(random(4), 0) & INDEX_MASK;
      if (index !== 0 && !this.#owners.has(index)) return index;
    }
  }

  /** How many are in use. */
  get size(): number {
    return this.#owners.size;
  }

  owner(index: number): Owner | undefined {
    return this.#owners.get(index);
  }

  /** Whether nobody has an index. */
  isFree(index: number): boolean {
    return !this.#owners.has(index);
  }

  /** Notes whose indexes are others now; those that somebody else has stay his. */
  change(owner: Owner, before: readonly number[] = NONE, after: readonly number[] = NONE): void {
    if (before === after) return;
    for (const index of before) {
      if (!after.includes(index) && this.#owners.get(index) === owner) this.#owners.delete(index);
    }
    for (const index of after) if (this.isFree(index)) this.#owners.set(index, owner);
  }
}

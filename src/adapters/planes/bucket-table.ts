import type { Rate } from '../../core/budgets.ts';
import { takeToken } from '../../core/session/rate-limit.ts';
import { millis } from '../../core/units.ts';

/**
 * A token bucket for each of any number of keys, in fixed memory: keys share places by a hash that nobody
 * outside can foresee, so that a flood of forged keys costs no memory and makes no garbage. Who shares a
 * place shares its budget. Time is monotonic milliseconds.
 */
export class BucketTable {
  readonly #rate: Rate;
  readonly #shift: number;
  readonly #seed: number;
  /** When each bucket will be full again; see core/session/rate-limit.ts. */
  readonly #fullAt: Float64Array;

  /** 2^`bits` places. `seed`: a random number of 32 bits. */
  constructor(rate: Rate, bits: number, seed: number) {
    this.#rate = rate;
    this.#shift = 32 - bits;
    this.#seed = seed;
    this.#fullAt = new Float64Array(2 ** bits);
  }

  /** Takes a token of the bucket of `key`, any 32 bits; false when there is none. */
  take(key: number, now: number): boolean {
    const place = this.#place(key);
    const fullAt = takeToken(millis(this.#fullAt[place] ?? 0), this.#rate, millis(now));
    if (fullAt === undefined) return false;
    this.#fullAt[place] = fullAt;
    return true;
  }

  /** The finish of MurmurHash3, between two halves of which the seed goes in. */
  #place(key: number): number {
    let hash = key ^ (key >>> 16) ^ this.#seed;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13) ^ this.#seed, 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> this.#shift;
  }
}

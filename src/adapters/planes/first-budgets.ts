import { CONTROL_LIMITS } from '../../core/budgets.ts';
import { BucketTable } from './bucket-table.ts';
import { TokenBucket } from './token-bucket.ts';

/** The table of sources' budgets has 2^13 places, which are 64 KiB. */
const PLACES = 13;

/** How many first messages of session 2 that are meant for us go up to the session. Time is monotonic milliseconds. */
export class FirstBudgets {
  readonly #plain = new TokenBucket(CONTROL_LIMITS.first);
  readonly #proved = new TokenBucket(CONTROL_LIMITS.proved);
  readonly #sources: BucketTable;

  /** `seed`: a random number of 32 bits. */
  constructor(seed: number) {
    this.#sources = new BucketTable(CONTROL_LIMITS.provedSource, PLACES, seed);
  }

  take(now: number): boolean {
    return this.#plain.take(now);
  }

  /** One that has a cookie of `source`, any 32 bits. */
  takeProved(source: number, now: number): boolean {
    return this.#proved.has(now) && this.#sources.take(source, now) && this.#proved.take(now);
  }
}

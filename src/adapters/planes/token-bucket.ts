import type { Rate } from '../../core/budgets.ts';
import { takeToken, type Bucket } from '../../core/session/rate-limit.ts';
import { millis } from '../../core/units.ts';

/** Tokens of one rate limit, which begins full. Time is monotonic milliseconds. */
export class TokenBucket {
  readonly #rate: Rate;
  #bucket: Bucket | undefined;

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Whether there is a token to take. */
  has(now: number): boolean {
    return takeToken(this.#bucket, this.#rate, millis(now)) !== undefined;
  }

  /** Takes one token; false when there is none. */
  take(now: number): boolean {
    const left = takeToken(this.#bucket, this.#rate, millis(now));
    if (left === undefined) return false;
    this.#bucket = left;
    return true;
  }
}

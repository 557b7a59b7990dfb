import type { Rate } from '../../core/budgets.ts';

/** Tokens of one rate limit. Time is monotonic milliseconds. */
export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #at: number;

  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#at = now;
  }

  /** Whether there is a token to take. */
  has(now: number): boolean {
    return this.#tokens + ((now - this.#at) * this.#rate.perSecond) / 1000 >= 1;
  }

  /** Takes one token; false when there is none. */
  take(now: number): boolean {
    const earned = ((now - this.#at) * this.#rate.perSecond) / 1000;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + Math.max(0, earned));
    this.#at = Math.max(this.#at, now);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

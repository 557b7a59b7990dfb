import { CONTROL_RATES } from '../../../core/budgets.ts';
import { MAX_PENDING_CONTROL } from './limits.ts';
import { TokenBucket } from '../token-bucket.ts';

/** How many control packets may go up to the session: so many a second, and so many unanswered. */
export class ControlGate {
  readonly #authLengths: ReadonlySet<number>;
  readonly #now: () => number;
  readonly #buckets: Readonly<Record<keyof typeof CONTROL_RATES, TokenBucket>>;
  #pending = 0;

  constructor(authLengths: ReadonlySet<number>, now: () => number) {
    const start = now();
    this.#authLengths = authLengths;
    this.#now = now;
    this.#buckets = {
      admitted: new TokenBucket(CONTROL_RATES.admitted, start),
      strangerAuth: new TokenBucket(CONTROL_RATES.strangerAuth, start),
      strangerOther: new TokenBucket(CONTROL_RATES.strangerOther, start),
    };
  }

  /** Lets a packet of `length` bytes through; `settled` must be called for it then. */
  pass(admitted: boolean, length: number): boolean {
    if (this.#pending >= MAX_PENDING_CONTROL) return false;
    const stranger = this.#authLengths.has(length) ? 'strangerAuth' : 'strangerOther';
    if (!this.#buckets[admitted ? 'admitted' : stranger].take(this.#now())) return false;
    this.#pending += 1;
    return true;
  }

  /** The session has dealt with one of them. */
  settled(): void {
    this.#pending -= 1;
  }
}

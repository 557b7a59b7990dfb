import { REPAIR_RATE } from '../../../core/budgets.ts';
import { TokenBucket } from '../token-bucket.ts';

/** Calls a repair when something was disturbed, no oftener than REPAIR_RATE allows: what is more waits. */
export class Repairs {
  readonly #bucket = new TokenBucket(REPAIR_RATE, performance.now());
  readonly #repair: (what: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(repair: (what: string) => void) {
    this.#repair = repair;
  }

  ask(what: string): void {
    if (this.#closed || this.#timer) return;
    if (this.#bucket.take(performance.now())) {
      this.#repair(what);
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.ask(what);
    }, 1000 / REPAIR_RATE.perSecond).unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}

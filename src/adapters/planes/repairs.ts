import { REPAIR_RATE } from '../../core/budgets.ts';
import { millis } from '../../core/units.ts';
import type { PlaneContext } from '../../ports/data-plane.ts';
import { TokenBucket } from './token-bucket.ts';

/** Changes of links, addresses and routes come in swarms: one look for all within this time. */
export const SETTLE = millis(20);

/** How long a repair waits that REPAIR_RATE does not allow now. */
export const REPAIR_PAUSE = millis(1000 / REPAIR_RATE.perSecond);

/**
 * Calls a repair when something was disturbed: once for all that comes until it has settled, and no
 * oftener than REPAIR_RATE allows, so that two programs which undo each other's work do not fill a
 * processor. `repair` is told the first thing that was disturbed, and looks at everything.
 */
export class RepairTimer {
  readonly #bucket = new TokenBucket(REPAIR_RATE);
  readonly #repair: (what: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(repair: (what: string) => void) {
    this.#repair = repair;
  }

  ask(what: string): void {
    if (this.#closed || this.#timer) return;
    const delay = this.#bucket.has(performance.now()) ? SETTLE : REPAIR_PAUSE;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#bucket.take(performance.now());
      this.#repair(what);
    }, delay).unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}

/**
 * Does a repair and tells of it: what was not as it should be, in the words of `work`; else that `what`
 * could not be put back. Never rejects.
 */
export async function putBack(
  { listener, log }: Pick<PlaneContext, 'listener' | 'log'>,
  what: string,
  work: () => Promise<readonly string[]>,
): Promise<void> {
  try {
    for (const mended of await work()) listener.disturbed(mended, true);
  } catch (error) {
    log('error', `${what} could not be put back`, { error: String(error) });
    listener.disturbed(what, false);
  }
}

import { STORM } from '../../../core/budgets.ts';
import { stormFilter, type StormFacts } from './storm-filter.ts';

/** Milliseconds between two looks at how much comes. */
const WINDOW = 500;
/** Packets between two looks at the clock. */
const PACKETS_PER_LOOK = 64;

export type StormOptions = {
  readonly now: () => number;
  readonly facts: () => StormFacts;
  /** Whether first messages of session 2 are tested before they go up. */
  readonly tested: () => boolean;
  /** Sets the socket's filter, or takes it away; false when that cannot be. */
  readonly attach: (filter: Uint8Array | undefined) => boolean;
};

/** Counts strangers' packets, and has the kernel drop most of them while there are too many. */
export class Storm {
  readonly #options: StormOptions;
  #seen = 0;
  /** How many those stand for. */
  #came = 0;
  #since: number;
  /** Share of strangers' packets that the filter lets through; 1: there is none. And of first messages. */
  #share = 1;
  #firstShare = 1;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: StormOptions) {
    this.#options = options;
    this.#since = options.now();
  }

  /** A stranger's packet has come; `first`: a first message of session 2 that was tested. */
  packet(first = false): void {
    this.#seen += 1;
    this.#came += 1 / (first ? this.#firstShare : this.#share);
    if (this.#seen % PACKETS_PER_LOOK === 0) this.#look();
  }

  /** What the filter goes by has changed. */
  changed(): void {
    if (this.#share < 1) this.#set(this.#share, this.#firstShare);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const now = this.#options.now();
    const elapsed = now - this.#since;
    if (elapsed < WINDOW) return;
    const rate = (this.#came / elapsed) * 1000;
    this.#seen = 0;
    this.#came = 0;
    this.#since = now;
    if (rate > STORM.from || (this.#share < 1 && rate > STORM.until)) {
      this.#set(STORM.pass / rate, Math.min(1, STORM.passFirst / rate));
    } else if (this.#share < 1) this.#set(1, 1);
  }

  #set(rest: number, first: number): void {
    const { attach, facts, tested } = this.#options;
    const shares = tested() ? { rest, first } : { rest };
    const filter = rest < 1 ? stormFilter(facts(), shares) : undefined;
    const attached = attach(filter) && filter !== undefined;
    this.#share = attached ? rest : 1;
    this.#firstShare = attached ? first : 1;
    clearTimeout(this.#timer);
    // Nothing may come any more.
    if (this.#share < 1) this.#timer = setTimeout(() => this.#look(), WINDOW + 1).unref();
  }
}

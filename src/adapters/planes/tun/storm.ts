import { randomBytes } from 'node:crypto';
import { STORM } from '../../../core/budgets.ts';
import { getU32host } from '../../../core/bytes.ts';
import type { Backlog } from '../../udp/socket-backlog.ts';
import { stormFilter, type Slice, type StormFacts } from './storm-filter.ts';

/** Milliseconds between two looks at how much comes; a storm that begins may be seen sooner. */
const WINDOW = 500;
/** And at least so many, since packets come in bursts. */
const BEGINNING = 50;
/** Packets between two looks at the clock. */
const PACKETS_PER_LOOK = 64;
/** Of a storm the filter lets more through, a second. */
const FEW = STORM.pass / 10;
/** As the number of dropped packets begins anew. */
const DROPPED_MAX = 2 ** 32;

export type StormOptions = {
  readonly now: () => number;
  readonly facts: () => StormFacts;
  /** Whether first messages of session 2 are tested before they go up. */
  readonly tested: () => boolean;
  /** What the socket has dropped, and holds. */
  readonly backlog: () => Backlog | undefined;
  /** Sets the socket's filter, or takes it away; false when that cannot be. */
  readonly attach: (filter: Uint8Array | undefined) => boolean;
};

/**
 * Counts strangers' packets, and has the kernel drop most of them while there are too many: those that the thread has seen,
 * and all that the socket has dropped. So the count is right however little the thread comes to run.
 */
export class Storm {
  readonly #options: StormOptions;
  #seen = 0;
  /** First messages among them. */
  #seenFirst = 0;
  #dropped: number;
  #since: number;
  /** Whether there is a filter. */
  #filters = false;
  /** Share of strangers' packets but first messages that it lets through. */
  #share = 1;
  /** First messages a second that this thread keeps up with. */
  #pace: number = STORM.passFirst.start;
  /** Whose first messages the filter lets through: in turns, all of them once and then by another number. */
  #slice: Slice = { odd: 1, count: 1, at: 0 };
  #timer: NodeJS.Timeout | undefined;
  #turns: NodeJS.Timeout | undefined;

  constructor(options: StormOptions) {
    this.#options = options;
    this.#since = options.now();
    this.#dropped = options.backlog()?.dropped ?? 0;
  }

  /** A stranger's packet has come; `first`: a first message of session 2 that was tested. */
  packet(first = false): void {
    this.#seen += 1;
    if (first) this.#seenFirst += 1;
    if (this.#seen % PACKETS_PER_LOOK === 0) this.#look();
  }

  /** What the filter goes by has changed. */
  changed(): void {
    if (this.#filters) this.#set(this.#share, this.#slice.count);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#takeTurns(false);
  }

  #look(): void {
    const elapsed = this.#options.now() - this.#since;
    const begins = !this.#filters && this.#seen * 1000 > STORM.from * WINDOW;
    if (elapsed < (begins ? BEGINNING : WINDOW)) return;
    const backlog = this.#options.backlog();
    const dropped = backlog?.dropped ?? 0;
    const more = (dropped - this.#dropped + DROPPED_MAX) % DROPPED_MAX;
    const rate = this.#rate((this.#seen / elapsed) * 1000, (more / elapsed) * 1000);
    const others = (((this.#seen - this.#seenFirst) / elapsed) * 1000) / this.#share;
    this.#seen = 0;
    this.#seenFirst = 0;
    this.#dropped = dropped;
    this.#since += elapsed;
    if (this.#filters) this.#keepPace(backlog?.full ?? 0);
    if (rate > (this.#filters ? STORM.until : STORM.from)) {
      const first = Math.max(0, rate - others);
      this.#set(others > STORM.until ? STORM.pass / others : 1, Math.ceil(first / this.#pace));
    } else if (this.#filters) this.#calm();
  }

  /** A second: what is dropped may be peers' data alone, more than the socket holds. */
  #rate(seen: number, dropped: number): number {
    return seen > (this.#filters ? FEW : STORM.from) ? seen + dropped : seen;
  }

  /** What waits in the socket delays peers' data: fewer first messages pass where they pile up, and more again after. */
  #keepPace(full: number): void {
    const { least, most, full: much } = STORM.passFirst;
    this.#pace =
      full > much ? Math.max(least, this.#pace / 2) : Math.min(most, this.#pace + most / 10);
  }

  /** Lets a share of strangers' packets through, and of first messages those of one part of all sources in so many. */
  #set(share: number, parts: number): void {
    const { attach, facts, tested } = this.#options;
    const count = Math.max(1, parts);
    if (count !== this.#slice.count) this.#slice = { odd: oddNumber(), count, at: 0 };
    const shares = tested() ? { rest: share, first: this.#slice } : { rest: share };
    const filter = stormFilter(facts(), shares);
    if (!filter || !attach(filter)) return this.#calm();
    this.#filters = true;
    this.#share = share;
    clearTimeout(this.#timer);
    // Nothing may come any more.
    this.#timer = setTimeout(() => this.#look(), WINDOW + 1).unref();
    this.#takeTurns(count > 1);
  }

  #calm(): void {
    this.#options.attach(undefined);
    this.#filters = false;
    this.#pace = STORM.passFirst.start;
    this.#share = 1;
    this.close();
  }

  #takeTurns(wanted: boolean): void {
    if (wanted === (this.#turns !== undefined)) return;
    clearInterval(this.#turns);
    this.#turns = wanted ? setInterval(() => this.#next(), STORM.slice).unref() : undefined;
  }

  /** Other sources have their turn. */
  #next(): void {
    const { attach, facts } = this.#options;
    const { odd, count, at } = this.#slice;
    this.#slice = at + 1 < count ? { odd, count, at: at + 1 } : { odd: oddNumber(), count, at: 0 };
    const filter = stormFilter(facts(), { rest: this.#share, first: this.#slice });
    if (filter) attach(filter);
  }
}

function oddNumber(): number {
  return getU32host(randomBytes(4), 0) | 1;
}

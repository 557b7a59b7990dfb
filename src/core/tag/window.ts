import { MAX_TAG_COUNTER } from './layout.ts';

/** Counters up to the newest one that are told apart; what is older is refused. */
export const WINDOW_COUNTERS = 2048;

const WORD_BITS = 32;
/** One more than the counters fill, since the newest one may begin a word. */
const WORDS = WINDOW_COUNTERS / WORD_BITS + 1;

/** Which counters of one key have come: each is taken once. Nothing before 1. */
export class ReplayWindow {
  /** Bit n % 32 of word n / 32, modulo WORDS, for every counter n. */
  readonly #words = new Uint32Array(WORDS);
  #newest = 0;

  /** The largest counter that was taken. */
  get newest(): number {
    return this.#newest;
  }

  /** Whether `take` would take it. */
  isFresh(counter: number): boolean {
    if (counter > this.#newest) return counter <= MAX_TAG_COUNTER;
    if (counter < 1 || counter <= this.#newest - WINDOW_COUNTERS) return false;
    return ((this.#words[placeOf(counter)] ?? 0) & bitOf(counter)) === 0;
  }

  /** Takes a counter that has not come before, once its tag proved right; false when it is not fresh. */
  take(counter: number): boolean {
    if (!this.isFresh(counter)) return false;
    if (counter > this.#newest) this.#moveTo(counter);
    const place = placeOf(counter);
    this.#words[place] = (this.#words[place] ?? 0) | bitOf(counter);
    return true;
  }

  /** Makes a counter the newest; clears the words that others had. */
  #moveTo(counter: number): void {
    const last = Math.floor(counter / WORD_BITS);
    const first = Math.max(Math.floor(this.#newest / WORD_BITS) + 1, last - WORDS + 1);
    for (let block = first; block <= last; block += 1) this.#words[block % WORDS] = 0;
    this.#newest = counter;
  }
}

function placeOf(counter: number): number {
  return Math.floor(counter / WORD_BITS) % WORDS;
}

function bitOf(counter: number): number {
  return 1 << (counter % WORD_BITS);
}

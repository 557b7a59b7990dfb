import type { Millis } from './units.ts';

/** Something that can be woken; `timerPlace` is the heap's to write. */
export interface Timed {
  timerPlace: number;
}

export const NO_TIMER = -1;

/** One wake-up for each of many: a binary heap, so that setting or dropping one costs O(log n). */
export class TimerHeap<T extends Timed> {
  readonly #items: T[] = [];
  /** Times apart from the items, so that both stay small. */
  readonly #times: number[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** When the first wants to be woken. */
  get earliest(): Millis | undefined {
    return this.#times[0] as Millis | undefined;
  }

  /** Sets, moves or (undefined) drops an item's wake-up. */
  set(item: T, at: Millis | undefined): void {
    const place = item.timerPlace;
    if (at === undefined) {
      if (place !== NO_TIMER) this.#drop(place);
      return;
    }
    if (place === NO_TIMER) {
      this.#put(this.#items.length, item, at);
      this.#rise(item.timerPlace);
    } else {
      this.#times[place] = at;
      this.#rise(place);
      this.#sink(item.timerPlace);
    }
  }

  /** Takes out one whose time has come. */
  takeDue(now: Millis): T | undefined {
    const [item] = this.#items;
    if (item === undefined || (this.#times[0] ?? 0) > now) return undefined;
    this.#drop(0);
    return item;
  }

  #drop(place: number): void {
    const item = this.#items[place];
    const last = this.#items.pop();
    const time = this.#times.pop();
    if (item) item.timerPlace = NO_TIMER;
    if (last === undefined || time === undefined || last === item) return;
    this.#put(place, last, time);
    this.#rise(place);
    this.#sink(last.timerPlace);
  }

  #rise(from: number): void {
    const item = this.#items[from];
    const time = this.#times[from];
    if (item === undefined || time === undefined) return;
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#items[above];
      const parentTime = this.#times[above];
      if (parent === undefined || parentTime === undefined || parentTime <= time) break;
      this.#put(place, parent, parentTime);
      place = above;
    }
    this.#put(place, item, time);
  }

  #sink(from: number): void {
    const item = this.#items[from];
    const time = this.#times[from];
    if (item === undefined || time === undefined) return;
    let place = from;
    for (;;) {
      const left = 2 * place + 1;
      const right = left + 1;
      const least =
        (this.#times[right] ?? Infinity) < (this.#times[left] ?? Infinity) ? right : left;
      const child = this.#items[least];
      const childTime = this.#times[least];
      if (child === undefined || childTime === undefined || childTime >= time) break;
      this.#put(place, child, childTime);
      place = least;
    }
    this.#put(place, item, time);
  }

  #put(place: number, item: T, time: number): void {
    this.#items[place] = item;
    this.#times[place] = time;
    item.timerPlace = place;
  }
}

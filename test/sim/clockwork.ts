/** Virtual time: a queue of things to do, in the order of their times. */
export type Cancel = () => void;

type Entry = { readonly at: number; readonly order: number; run: (() => void) | undefined };

/** More events than this in one run mean that somebody wakes himself without end. */
const EVENTS_MAX = 500_000;

export class Clockwork {
  /** Milliseconds since the world began. */
  now = 0;
  #heap: Entry[] = [];
  #order = 0;
  #events = 0;

  /** Runs `run` at a time, or now if that is past; things at the same time run in the order of their calls. */
  at(time: number, run: () => void): Cancel {
    const entry: Entry = { at: Math.max(time, this.now), order: this.#order++, run };
    this.#push(entry);
    return () => {
      entry.run = undefined;
    };
  }

  after(delay: number, run: () => void): Cancel {
    return this.at(this.now + delay, run);
  }

  /** Lets time pass. */
  advance(duration: number): void {
    const end = this.now + duration;
    this.until(end, () => false);
    this.now = end;
  }

  /** Lets time pass until `done`, at most to `end`; says whether it was done. */
  until(end: number, done: () => boolean): boolean {
    while (!done()) {
      const next = this.#heap[0];
      if (next === undefined || next.at > end) return false;
      this.#pop();
      this.now = next.at;
      if (next.run && ++this.#events > EVENTS_MAX) throw new Error('events without end');
      next.run?.();
    }
    return true;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let place = heap.push(entry) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above];
      if (!parent || !isBefore(entry, parent)) break;
      heap[place] = parent;
      place = above;
    }
    heap[place] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let place = 0;
    for (;;) {
      const left = heap[2 * place + 1];
      const right = heap[2 * place + 2];
      const useRight = left !== undefined && right !== undefined && isBefore(right, left);
      const least = useRight ? right : left;
      if (!least || !isBefore(least, last)) break;
      heap[place] = least;
      place = 2 * place + (useRight ? 2 : 1);
    }
    heap[place] = last;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

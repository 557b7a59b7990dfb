import { setTimeout as delay } from 'node:timers/promises';

/** Work one after the other, each followed by a rest as long as it took: half of the time stays for others. */
export class Pace {
  #last: Promise<unknown> = Promise.resolve();

  /** Settles as `work` does. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      const began = performance.now();
      const done = work();
      // Timers count whole milliseconds, and drop what is beyond.
      const asLong = () => delay(Math.ceil(performance.now() - began));
      const rest = done.then(asLong, asLong);
      return { done, rest };
    });
    this.#last = turn.then(({ rest }) => rest);
    return turn.then(({ done }) => done);
  }
}

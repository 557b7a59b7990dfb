/**
 * Places more than there are peers: a program that has read of a place looks at it within the same packet,
 * and so many peers go elsewhere before it is another's.
 */
export const SPARE_PLACES = 64;

/** Which places of a map are free. What was given up longest ago is taken first. */
export class Places {
  readonly #room: number;
  #fresh = 0;
  /** In the order in which they were given up, from `#first` on. */
  #free: number[] = [];
  #first = 0;

  constructor(room: number) {
    this.#room = room;
  }

  /** Throws RangeError when there is none (a bug: there are more than peers). */
  take(): number {
    const free = this.#free[this.#first];
    if (this.#fresh < this.#room) return this.#fresh++;
    if (free === undefined) throw new RangeError(`all ${this.#room} places are taken`);
    this.#first += 1;
    if (this.#first > this.#free.length / 2) {
      this.#free = this.#free.slice(this.#first);
      this.#first = 0;
    }
    return free;
  }

  giveUp(place: number | undefined): void {
    if (place !== undefined) this.#free.push(place);
  }
}

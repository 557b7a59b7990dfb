/** Numbers for what comes and goes, from 0 on: those that were given up are given again first. */
export class Slots {
  readonly #free: number[] = [];
  #next = 0;

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  giveUp(slot: number): void {
    this.#free.push(slot);
  }
}

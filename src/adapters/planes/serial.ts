/** Runs work one piece after another, in the order asked for; a failure is its asker's and stops nothing. */
export class Serial {
  #tail: Promise<unknown> = Promise.resolve();

  /** Settles as `work` does, which begins when all that was asked for before has ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** Resolves when all that was asked for so far has ended. */
  async idle(): Promise<void> {
    await this.#tail;
  }
}

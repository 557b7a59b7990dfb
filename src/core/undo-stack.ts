/** What takes one made thing away again. Must be idempotent: the thing may be gone already. */
export type Undo = { readonly what: string; readonly run: () => Promise<void> | void };

/**
 * Undos in the order their things were made; released in reverse. A failing undo does not keep the
 * others from running: all failures are collected into one AggregateError.
 */
export class UndoStack {
  readonly #undos: Undo[] = [];

  push(what: string, run: Undo['run']): void {
    this.#undos.push({ what, run });
  }

  /** What would be undone, newest first. */
  pending(): readonly string[] {
    return this.#undos.map((undo) => undo.what).toReversed();
  }

  /** Runs every undo, newest first, and empties the stack. */
  async release(): Promise<void> {
    const failures: unknown[] = [];
    for (let undo = this.#undos.pop(); undo; undo = this.#undos.pop()) {
      try {
        await undo.run();
      } catch (error) {
        failures.push(new Error(`undo ${undo.what}: ${String(error)}`, { cause: error }));
      }
    }
    if (failures.length > 0) {
      throw new AggregateError(failures, failures.map(String).join('; '));
    }
  }

  /** Forgets every undo: what was made is to stay. */
  disarm(): void {
    this.#undos.length = 0;
  }
}

/** Objects by key, several to a key where it has to be; one to a key costs no list. */
export class MultiMap<Key, Value extends object> {
  readonly #entries = new Map<Key, Value | Value[]>();

  add(key: Key, value: Value): void {
    const there = this.#entries.get(key);
    if (there === undefined) this.#entries.set(key, value);
    else if (Array.isArray(there)) there.push(value);
    else this.#entries.set(key, [there, value]);
  }

  /** No effect where it is not there. */
  delete(key: Key, value: Value): void {
    const there = this.#entries.get(key);
    if (there === value) {
      this.#entries.delete(key);
    } else if (Array.isArray(there)) {
      const left = there.filter((one) => one !== value);
      const [only] = left;
      this.#entries.set(key, left.length === 1 && only !== undefined ? only : left);
    }
  }

  get(key: Key): readonly Value[] {
    const there = this.#entries.get(key);
    if (there === undefined) return [];
    return Array.isArray(there) ? there : [there];
  }
}

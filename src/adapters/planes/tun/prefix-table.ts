/**
 * Who has an address, by the longest prefix that holds it: a hash for every prefix length in use, asked
 * from the longest on. So a look costs as much as there are lengths (mostly one or two), however many
 * prefixes there are.
 */
export class PrefixTable<Owner> {
  /** By network address as an unsigned number; the index is the length, 0..32. */
  readonly #byLength: (Map<number, Owner> | undefined)[] = [];
  /** Lengths in use, the longest first. */
  #lengths: readonly number[] = [];
  /** The last answer: packets come in runs. */
  #address = -1;
  #owner: Owner | undefined;

  /** Gives a prefix to an owner, and takes it from whoever had it. Bits below `length` do not count. */
  set(address: number, length: number, owner: Owner): void {
    this.#address = -1;
    const owners = this.#byLength[length] ?? new Map<number, Owner>();
    this.#byLength[length] = owners;
    owners.set(network(address, length), owner);
    this.#lengths = this.#used();
  }

  /** Takes a prefix from its owner; no effect when it is another's. */
  delete(address: number, length: number, owner: Owner): void {
    const owners = this.#byLength[length];
    const key = network(address, length);
    if (owners?.get(key) !== owner) return;
    this.#address = -1;
    owners.delete(key);
    if (owners.size > 0) return;
    this.#byLength[length] = undefined;
    this.#lengths = this.#used();
  }

  /** Makes nothing, whatever is asked. */
  find(address: number): Owner | undefined {
    if (address === this.#address) return this.#owner;
    this.#address = address;
    this.#owner = this.#look(address);
    return this.#owner;
  }

  #look(address: number): Owner | undefined {
    for (const length of this.#lengths) {
      const owner = this.#byLength[length]?.get(network(address, length));
      if (owner !== undefined) return owner;
    }
    return undefined;
  }

  #used(): readonly number[] {
    return this.#byLength.flatMap((owners, length) => (owners ? [length] : [])).toReversed();
  }
}

function network(address: number, length: number): number {
  // A shift by 32 shifts by nothing.
  return length === 0 ? 0 : (address & (-1 << (32 - length))) >>> 0;
}

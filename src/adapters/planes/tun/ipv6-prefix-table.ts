import { IPV6_WORDS, ipv6Mask, sameWords } from './ipv6-words.ts';
import { WordsMap } from './words-map.ts';

/** Owners of the prefixes of one length. */
type Networks<Owner> = {
  readonly length: number;
  readonly mask: Uint32Array;
  readonly owners: WordsMap<Owner>;
};

/** PrefixTable for IPv6: a hash for every prefix length in use, asked from the longest on. */
export class Ipv6PrefixTable<Owner> {
  /** Lengths in use, the longest first. */
  readonly #networks: Networks<Owner>[] = [];
  readonly #key = new Uint32Array(IPV6_WORDS);
  /** The last answer: packets come in runs. */
  readonly #address = new Uint32Array(IPV6_WORDS);
  #owner: Owner | undefined;
  #known = false;

  /** Gives a prefix to an owner, and takes it from whoever had it. Bits below `length` do not count. */
  set(address: Uint32Array, length: number, owner: Owner): void {
    this.#known = false;
    const networks = this.#ofLength(length) ?? this.#add(length);
    networks.owners.set(this.#network(address, networks.mask).slice(), owner);
  }

  /** Takes a prefix from its owner; no effect when it is another's. */
  delete(address: Uint32Array, length: number, owner: Owner): void {
    const networks = this.#ofLength(length);
    const key = networks && this.#network(address, networks.mask);
    if (!networks || !key || networks.owners.get(key) !== owner) return;
    this.#known = false;
    networks.owners.delete(key);
    if (networks.owners.size === 0) this.#networks.splice(this.#networks.indexOf(networks), 1);
  }

  /** Makes nothing, whatever is asked. */
  find(address: Uint32Array): Owner | undefined {
    if (this.#known && sameWords(address, this.#address)) return this.#owner;
    this.#known = true;
    this.#address.set(address);
    this.#owner = this.#look(address);
    return this.#owner;
  }

  #look(address: Uint32Array): Owner | undefined {
    for (const { mask, owners } of this.#networks) {
      const owner = owners.get(this.#network(address, mask));
      if (owner !== undefined) return owner;
    }
    return undefined;
  }

  #network(address: Uint32Array, mask: Uint32Array): Uint32Array {
    for (let index = 0; index < IPV6_WORDS; index += 1) {
      this.#key[index] = (address[index] ?? 0) & (mask[index] ?? 0);
    }
    return this.#key;
  }

  #ofLength(length: number): Networks<Owner> | undefined {
    return this.#networks.find((networks) => networks.length === length);
  }

  #add(length: number): Networks<Owner> {
    const owners = new WordsMap<Owner>(IPV6_WORDS);
    const networks = { length, mask: ipv6Mask(length), owners };
    this.#networks.push(networks);
    this.#networks.sort((a, b) => b.length - a.length);
    return networks;
  }
}

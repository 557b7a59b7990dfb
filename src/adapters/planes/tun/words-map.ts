import { randomBytes } from 'node:crypto';
import { getU32host } from '../../../core/bytes.ts';

type Entry<Value> = {
  readonly words: Uint32Array;
  value: Value;
  next: Entry<Value> | undefined;
};

/**
 * A map by several 32-bit words, for keys that no number holds, such as IPv6 addresses: a look reads the key where it
 * lies and makes nothing. Which keys share a place nobody outside can foresee.
 */
export class WordsMap<Value> {
  readonly #length: number;
  readonly #seed = getU32host(randomBytes(4), 0);
  readonly #places = new Map<number, Entry<Value>>();
  #size = 0;

  /** Keys have `length` words. */
  constructor(length: number) {
    this.#length = length;
  }

  get size(): number {
    return this.#size;
  }

  /** The value of the key that begins `words`. */
  get(words: Uint32Array): Value | undefined {
    let entry = this.#places.get(this.#hash(words));
    while (entry !== undefined && !this.#is(entry, words)) entry = entry.next;
    return entry?.value;
  }

  /** Keeps `words`, which are as many as a key has, and must not be changed afterwards. */
  set(words: Uint32Array, value: Value): void {
    const place = this.#hash(words);
    const first = this.#places.get(place);
    for (let entry = first; entry !== undefined; entry = entry.next) {
      if (!this.#is(entry, words)) continue;
      entry.value = value;
      return;
    }
    this.#places.set(place, { words, value, next: first });
    this.#size += 1;
  }

  /** No effect where there is no such key. */
  delete(words: Uint32Array): void {
    const place = this.#hash(words);
    const kept: Entry<Value>[] = [];
    for (let entry = this.#places.get(place); entry !== undefined; entry = entry.next) {
      if (this.#is(entry, words)) this.#size -= 1;
      else kept.push(entry);
    }
    let chain: Entry<Value> | undefined;
    for (const entry of kept) {
      entry.next = chain;
      chain = entry;
    }
    if (chain) this.#places.set(place, chain);
    else this.#places.delete(place);
  }

  #is(entry: Entry<Value>, words: Uint32Array): boolean {
    for (let index = 0; index < this.#length; index += 1) {
      if (entry.words[index] !== words[index]) return false;
    }
    return true;
  }

  #hash(words: Uint32Array): number {
    return hashWords(words, this.#length, this.#seed) >>> 2;
  }
}

/** 32 bits of the first `length` words; nobody foresees them who does not know the seed. */
export function hashWords(words: Uint32Array, length: number, seed: number): number {
  let hash = seed;
  for (let index = 0; index < length; index += 1) {
    // MurmurHash3's round.
    const word = Math.imul(words[index] ?? 0, 0xcc9e2d51);
    hash ^= Math.imul((word << 15) | (word >>> 17), 0x1b873593);
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

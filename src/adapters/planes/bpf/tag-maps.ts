import { IpipouError } from '../../../core/errors.ts';
import { encodeU32host, getU32host } from '../../../core/bytes.ts';
import type { TagKey, TagKeys, TagLevel } from '../../../core/tag/types.ts';
import type { BpfMapHandle } from './bpf-calls.ts';
import {
  decodeSessionKey,
  decodeTagIn,
  decodeTagOut,
  encodeSessionKey,
  encodeTagIn,
  encodeTagOut,
} from './program-codec.ts';

/** How many keys there is room for: peers have up to four to receive under while keys change, and two to send under. */
export type TagRoom = { readonly receive: number; readonly send: number };

/** The maps that count what was sent under a key and what has come: two of them would let each be twice. */
export type SharedMaps = Readonly<Record<'ipipou_tags_in' | 'ipipou_tags_out', BpfMapHandle>>;

export type TagHandles = SharedMaps & Readonly<Record<'ipipou_owners', BpfMapHandle>>;

/** What a peer's packets are tagged by. */
export type HeldTags = {
  /** Under which its key to send under is; without the last bit, which changes with the key, it is who it is here. */
  readonly number: number;
  readonly level: TagLevel;
  readonly send: number;
  readonly receive: readonly number[];
};

function ownerOf({ number }: HeldTags): number {
  return (number & ~1) >>> 0;
}

/**
 * The keys of peers' tags, in the maps of the programs. A key comes whole, before anything leads to it, and goes when
 * nothing does any more; where an index goes on with its key, its counter and window do.
 */
export class TagMaps {
  readonly #maps: TagHandles;
  /** Indexes of peers. */
  readonly #owners = new Map<number, number>();
  #next = 2;

  constructor(maps: TagHandles) {
    this.#maps = maps;
  }

  /** Whether there is room for any at all. */
  get haveRoom(): boolean {
    return this.#maps.ipipou_tags_out.info.maxEntries > 1;
  }

  /** Whether no peer has any. */
  get isEmpty(): boolean {
    return this.#owners.size === 0;
  }

  /** The index of the peer that the programs know by this number. */
  indexOf(owner: number): number | undefined {
    return this.#owners.get(owner);
  }

  /** The maps that other programs may go on with. */
  get shared(): Pick<TagHandles, 'ipipou_tags_in' | 'ipipou_tags_out'> {
    return this.#maps;
  }

  /**
   * Writes down what of these keys the peer at `index` does not have yet; its packets go on by what it has. Throws with
   * everything as it was.
   */
  prepare(index: number, before: HeldTags | undefined, keys: TagKeys): HeldTags {
    const owner = before ? ownerOf(before) : this.#take(index);
    const fresh: number[] = [];
    try {
      this.#maps.ipipou_owners.set(encodeU32host(owner), encodeU32host(index));
      for (const key of keys.receive)
        if (this.#receive(owner, keys.level, key)) fresh.push(key.index);
      return {
        number: this.#send(before, owner, keys),
        level: keys.level,
        send: keys.send.index,
        receive: keys.receive.map((key) => key.index),
      };
    } catch (error) {
      for (const session of fresh) this.#maps.ipipou_tags_in.remove(encodeSessionKey(session));
      if (!before) this.#giveUp(owner);
      throw error;
    }
  }

  /** Takes away what a peer had and has no more. */
  retire(before: HeldTags | undefined, now: HeldTags | undefined): void {
    if (!before) return;
    if (before.number !== now?.number) {
      this.#maps.ipipou_tags_out.remove(encodeU32host(before.number));
    }
    for (const session of before.receive) {
      if (!now?.receive.includes(session)) {
        this.#maps.ipipou_tags_in.remove(encodeSessionKey(session));
      }
    }
    if (!now) this.#giveUp(ownerOf(before));
  }

  /** What other programs' peers have in maps that these go on with becomes that of the peer at `index`. */
  inherit(index: number, held: HeldTags): void {
    const owner = ownerOf(held);
    this.#owners.set(owner, index);
    this.#maps.ipipou_owners.set(encodeU32host(owner), encodeU32host(index));
  }

  /** What is there under each number, as an earlier run has left it: without the last bit it is a peer's. */
  *found(): Generator<HeldTags> {
    const receive = new Map<number, number[]>();
    for (const key of this.#maps.ipipou_tags_in.keys()) {
      const bytes = this.#maps.ipipou_tags_in.get(key);
      if (!bytes) continue;
      const { owner } = decodeTagIn(bytes);
      receive.set(owner, [...(receive.get(owner) ?? []), decodeSessionKey(key)]);
    }
    for (const key of this.#maps.ipipou_tags_out.keys()) {
      const bytes = this.#maps.ipipou_tags_out.get(key);
      const number = getU32host(key, 0);
      const out = bytes && decodeTagOut(bytes);
      if (!out?.level) continue;
      const sessions = receive.get((number & ~1) >>> 0) ?? [];
      yield { number, level: out.level, send: out.index, receive: sessions };
    }
  }

  /** Takes away what an earlier run has left and no peer has. */
  sweep(held: Iterable<HeldTags>): void {
    const numbers = new Set<number>();
    const sessions = new Set<number>();
    for (const { number, receive } of held) {
      numbers.add(number);
      for (const session of receive) sessions.add(session);
    }
    for (const key of [...this.#maps.ipipou_tags_out.keys()]) {
      if (!numbers.has(getU32host(key, 0))) this.#maps.ipipou_tags_out.remove(key);
    }
    for (const key of [...this.#maps.ipipou_tags_in.keys()]) {
      if (!sessions.has(decodeSessionKey(key))) this.#maps.ipipou_tags_in.remove(key);
    }
  }

  /** Whether it had to be written. Another key of that index gives way; another peer's is refused. */
  #receive(owner: number, level: TagLevel, { index, key }: TagKey): boolean {
    const map = this.#maps.ipipou_tags_in;
    const there = map.get(encodeSessionKey(index));
    const now = there && decodeTagIn(there);
    if (now?.owner === owner && now.level === level && same(now.key, key)) return false;
    if (now && now.owner !== owner && this.#owners.has(now.owner)) {
      throw new IpipouError('createTunnel', `index ${index} of tags is another peer's`);
    }
    if (there) map.set(encodeSessionKey(index), encodeTagIn(owner, level, key));
    else map.add(encodeSessionKey(index), encodeTagIn(owner, level, key));
    return true;
  }

  /** The number that leads to the key to send under. */
  #send(before: HeldTags | undefined, owner: number, { level, send }: TagKeys): number {
    const map = this.#maps.ipipou_tags_out;
    const there = before && map.get(encodeU32host(before.number));
    const now = there && decodeTagOut(there);
    if (before && now?.index === send.index && now.level === level && same(now.key, send.key)) {
      return before.number;
    }
    const number = before ? (before.number ^ 1) >>> 0 : owner;
    map.set(encodeU32host(number), encodeTagOut(level, send));
    return number;
  }

  #take(index: number): number {
    while (this.#owners.has(this.#next)) this.#next = this.#next > 0xffff_fff0 ? 2 : this.#next + 2;
    this.#owners.set(this.#next, index);
    return this.#next;
  }

  #giveUp(owner: number): void {
    this.#owners.delete(owner);
    this.#maps.ipipou_owners.remove(encodeU32host(owner));
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

import { SIPHASH_KEY_BYTES } from '../../../core/siphash.ts';
import { TAG_LENGTH, TAG_OFFSET } from '../../../core/tag/layout.ts';
import { NH_ROUND_LENGTH, NH_SHIFT } from '../../../core/tag/nh.ts';
import { writeTagOf } from '../../../core/tag/tag.ts';
import { TAG_KEY_LENGTH, type TagKey, type TagLevel } from '../../../core/tag/types.ts';
import type { Arena } from './arena.ts';

/** Keys that lie beside the packets at once: a power of 2. */
const PLACES = 64;
/** From one to the next; whole vectors. */
const STRIDE = Math.ceil(TAG_KEY_LENGTH / 16) * 16;
/** For the tag of a packet that has come. */
const OWN_BYTES = 16;

/** Room behind the packets of an arena that a tagger works with; what it reads behind a packet is in it, too. */
export const TAGGER_BYTES = OWN_BYTES + PLACES * STRIDE;

/** A key as it is kept: at level `header` no more of it than is needed. */
export type TagSecret = { readonly place: number; readonly key: Uint8Array };

export function secretOf(level: TagLevel, { index, key }: TagKey): TagSecret {
  const needed = SIPHASH_KEY_BYTES + NH_ROUND_LENGTH + NH_SHIFT;
  return { place: index % PLACES, key: key.slice(0, level === 'full' ? TAG_KEY_LENGTH : needed) };
}

/** Whether two are of the same session: their first words are as good as random. */
export function sameSecret(one: TagSecret, other: TagSecret): boolean {
  for (let at = 0; at < SIPHASH_KEY_BYTES; at += 1) {
    if (one.key[at] !== other.key[at]) return false;
  }
  return true;
}

/** What is left of a key that is not used: enough to know it again. */
export function remainderOf({ place, key }: TagSecret): TagSecret {
  return { place, key: key.slice(0, SIPHASH_KEY_BYTES) };
}

/** Makes the tags (core/tag/tag.ts) of packets that lie in an arena. */
export class Tagger {
  readonly #arena: Arena;
  readonly #own: number;
  /** What lies in which place. */
  readonly #loaded: (TagSecret | undefined)[] = Array.from({ length: PLACES }, () => undefined);

  /** The arena has TAGGER_BYTES from `own` on, a multiple of 16, for this alone. */
  constructor(arena: Arena, own: number) {
    this.#arena = arena;
    this.#own = own;
  }

  /**
   * Writes the tag behind the header at `header`, of a packet of `length` bytes. What of it counts lies behind the tag,
   * up to `end`, which is in whole rounds of NH, and goes on from `rest` to `stop`.
   */
  write(
    secret: TagSecret,
    header: number,
    end: number,
    rest: number,
    stop: number,
    length: number,
  ): void {
    this.#write(secret, header, end, rest, stop, length, header + TAG_OFFSET);
  }

  /** Whether the tag behind the header at `header` is right; of the packet `covered` bytes count. */
  isRight(secret: TagSecret, header: number, covered: number, length: number): boolean {
    const packet = header + TAG_LENGTH;
    return this.#write(secret, header, packet, packet, packet + covered, length, this.#own);
  }

  /** Whether what was written was behind the header before. */
  #write(
    secret: TagSecret,
    header: number,
    end: number,
    rest: number,
    stop: number,
    length: number,
    out: number,
  ): boolean {
    const { vectorTag } = this.#arena;
    if (!vectorTag) return this.#writePlainly(secret, header, end, rest, stop, length, out);
    const key = this.#load(secret);
    return vectorTag(header, end, rest, stop, length, key, out) === 1;
  }

  #load(secret: TagSecret): number {
    const { place } = secret;
    const at = this.#own + OWN_BYTES + place * STRIDE;
    if (this.#loaded[place] !== secret) {
      this.#arena.bytes.set(secret.key, at);
      this.#loaded[place] = secret;
    }
    return at;
  }

  #writePlainly(
    { key }: TagSecret,
    header: number,
    end: number,
    rest: number,
    stop: number,
    length: number,
    out: number,
  ): boolean {
    const { bytes } = this.#arena;
    const first = bytes.subarray(header + TAG_LENGTH, end);
    const covered = new Uint8Array(first.length + stop - rest);
    covered.set(first);
    covered.set(bytes.subarray(rest, stop), first.length);
    const tag = new Uint8Array(TAG_LENGTH - TAG_OFFSET);
    writeTagOf(key, bytes.subarray(header), covered, length, tag, 0);
    const right = tag.every((byte, index) => byte === bytes[header + TAG_OFFSET + index]);
    bytes.set(tag, out);
    return right;
  }
}

/** Tags without the arithmetic: who knows the key, which counter, for which session. */
import { decodeTagHeader, encodeTagHeader, TAG_LENGTH } from '../../src/core/tag/layout.ts';
import type { TagKey, TagKeys } from '../../src/core/tag/types.ts';
import { digest } from './fake-noise.ts';

/** Counters that are remembered. */
const WINDOW = 2048;
const TAG_AT = 8;

type Window = { newest: number; readonly seen: Set<number> };

/** What of a packet a plane has to say. */
export type TagVerdict = 'taken' | 'unknown-session' | 'level' | 'bad-tag' | 'replayed';

/** The counters of one peer, as long as its plane lives. */
export class TagPlane {
  readonly #sent = new Map<number, number>();
  readonly #windows = new Map<number, Window>();

  /** Other keys: an index that stays goes on where it was. */
  point(tags: TagKeys | undefined): void {
    const kept = new Set(tags?.receive.map(({ index }) => index));
    for (const index of this.#windows.keys()) if (!kept.has(index)) this.#windows.delete(index);
    for (const index of this.#sent.keys()) {
      if (index !== tags?.send.index) this.#sent.delete(index);
    }
  }

  seal({ level, send }: TagKeys, inner: Uint8Array): Uint8Array {
    const counter = (this.#sent.get(send.index) ?? 0) + 1;
    this.#sent.set(send.index, counter);
    const payload = new Uint8Array(TAG_LENGTH + inner.length);
    encodeTagHeader({ level, index: send.index, counter }, payload);
    payload.set(inner, TAG_LENGTH);
    payload.set(tagOf(send, payload), TAG_AT);
    return payload;
  }

  open(tags: TagKeys, payload: Uint8Array): TagVerdict {
    const header = decodeTagHeader(payload);
    const key = tags.receive.find(({ index }) => index === header?.index);
    if (!header || !key) return 'unknown-session';
    if (header.level !== tags.level) return 'level';
    const window = this.#windows.get(key.index) ?? { newest: 0, seen: new Set() };
    const { counter } = header;
    if (counter <= window.newest - WINDOW || window.seen.has(counter)) return 'replayed';
    const tag = tagOf(key, payload);
    if (!tag.every((byte, at) => byte === payload[TAG_AT + at])) return 'bad-tag';
    window.seen.add(counter);
    window.newest = Math.max(window.newest, counter);
    this.#windows.set(key.index, window);
    return 'taken';
  }
}

function tagOf({ key }: TagKey, payload: Uint8Array): Uint8Array {
  const parts = [key.subarray(0, 32), payload.subarray(0, TAG_AT), payload.subarray(TAG_LENGTH)];
  return digest(parts).subarray(0, TAG_LENGTH - TAG_AT);
}

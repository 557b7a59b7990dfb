import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeTagHeader,
  encodeTagHeader,
  MAX_TAG_COUNTER,
  MAX_TAG_INDEX,
  TAG_LENGTH,
} from '../../../src/core/tag/layout.ts';
import { isTaggedRight, tagged } from '../../../src/core/tag/tag.ts';
import { TAG_KEY_LENGTH } from '../../../src/core/tag/types.ts';
import { randomBytes, tagVectors } from './tag-vectors.ts';

const headers = fc.record({
  level: fc.constantFrom('header' as const, 'full' as const),
  index: fc.integer({ min: 1, max: MAX_TAG_INDEX }),
  counter: fc.integer({ min: 1, max: MAX_TAG_COUNTER }),
});

describe('the tag before a packet', () => {
  it.each(tagVectors())('is what other code makes it: $name', ({ header, key, packet, tag }) => {
    const payload = tagged(header, key, packet);
    expect(payload.subarray(0, TAG_LENGTH)).toStrictEqual(tag);
    expect(payload.subarray(TAG_LENGTH)).toStrictEqual(packet);
    expect(isTaggedRight(key, payload)).toBe(true);
  });

  it('says in its header what it was made with', () => {
    fc.assert(
      fc.property(headers, (header) => {
        const payload = new Uint8Array(TAG_LENGTH + 1);
        encodeTagHeader(header, payload);
        expect(decodeTagHeader(payload)).toEqual(header);
      }),
    );
  });

  it.each([
    ['no byte behind it', Uint8Array.of(0x12, ...new Uint8Array(TAG_LENGTH - 1))],
    ['another type', Uint8Array.of(0x13, ...new Uint8Array(TAG_LENGTH))],
    ['an IP packet', Uint8Array.of(0x45, ...new Uint8Array(TAG_LENGTH))],
    ['nothing', new Uint8Array()],
  ])('is none: %s', (_name, payload) => {
    expect(decodeTagHeader(payload)).toBeUndefined();
  });

  it('is wrong when any one bit of what it proves is another', () => {
    const key = randomBytes(1, TAG_KEY_LENGTH);
    for (const [level, proved] of [
      ['full', 200],
      ['header', 64],
    ] as const) {
      const right = tagged({ level, index: 1, counter: 1 }, key, randomBytes(2, 200));
      const accepted: number[] = [];
      for (let bit = 0; bit < right.length * 8; bit += 1) {
        const payload = right.slice();
        const at = bit >> 3;
        payload[at] = (payload[at] ?? 0) ^ (1 << (bit & 7));
        if (isTaggedRight(key, payload)) accepted.push(at);
      }
      expect(accepted.filter((at) => at < TAG_LENGTH + proved)).toStrictEqual([]);
      expect(accepted).toHaveLength((200 - proved) * 8);
    }
  });

  it('is wrong when zeros are added or taken away at the end', () => {
    const key = randomBytes(1, TAG_KEY_LENGTH);
    const payload = tagged({ level: 'full', index: 1, counter: 1 }, key, new Uint8Array(100));
    expect(isTaggedRight(key, Uint8Array.of(...payload, 0))).toBe(false);
    expect(isTaggedRight(key, payload.slice(0, -1))).toBe(false);
  });
});

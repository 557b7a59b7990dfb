import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Arena } from '../../../src/adapters/planes/tun/arena.ts';
import { secretOf, Tagger, TAGGER_BYTES } from '../../../src/adapters/planes/tun/tagger.ts';
import { vectorMemory } from '../../../src/adapters/planes/tun/vector-memory.ts';
import { MAX_TAGGED_LENGTH, TAG_LENGTH } from '../../../src/core/tag/layout.ts';
import { coveredLength, tagged } from '../../../src/core/tag/tag.ts';
import { TAG_KEY_LENGTH, type TagLevel } from '../../../src/core/tag/types.ts';
import { randomBytes, tagVectors } from '../tag/tag-vectors.ts';

const ROOM = 8192;
const LENGTH = ROOM + TAGGER_BYTES;
/** Where the second part of a packet is. */
const APART = 4000;

const vectors = vectorMemory(LENGTH);
const arenas = [
  { what: 'with vectors', arena: new Arena(LENGTH, () => 0n, vectors) },
  { what: 'without', arena: new Arena(LENGTH, () => 0n) },
];

test('there are vectors here', () => {
  expect(vectors?.tag).toBeDefined();
});

describe.each(arenas)('tags $what', ({ arena }) => {
  const tagger = new Tagger(arena, ROOM);
  const { bytes } = arena;

  /** Puts a payload without its tag at `at`, whose first rounds lie there and the rest elsewhere; and writes the tag. */
  function write(
    level: TagLevel,
    key: Uint8Array,
    payload: Uint8Array,
    at: number,
    rounds: number,
  ): Uint8Array {
    const length = payload.length - TAG_LENGTH;
    const covered = coveredLength(level, length);
    const first = Math.min(rounds * 64, Math.floor(covered / 64) * 64);
    bytes.fill(0xee, 0, ROOM);
    bytes.set(payload.subarray(0, 8), at);
    bytes.set(payload.subarray(TAG_LENGTH, TAG_LENGTH + first), at + TAG_LENGTH);
    bytes.set(payload.subarray(TAG_LENGTH + first), APART + at);
    const end = at + TAG_LENGTH + first;
    const secret = secretOf(level, { index: payload[3] ?? 0, key });
    tagger.write(secret, at, end, APART + at, APART + at + covered - first, length);
    return bytes.slice(at, at + TAG_LENGTH);
  }

  test.each(tagVectors())('are what other code makes: $name', ({ header, key, packet, tag }) => {
    const payload = Uint8Array.of(...tag, ...packet);
    for (const [at, rounds] of [
      [16, 0],
      [16, 1],
      [16, 2],
      [17, 1],
      [19, 0],
    ] as const) {
      expect(write(header.level, key, payload, at, rounds)).toStrictEqual(tag);
    }
    bytes.set(payload, 33);
    const secret = secretOf(header.level, { index: header.index, key });
    const covered = coveredLength(header.level, packet.length);
    expect(tagger.isRight(secret, 33, covered, packet.length)).toBe(true);
    expect(bytes.slice(33, 33 + payload.length)).toStrictEqual(payload);
  });

  test('are those of the reference, of any length and at any place', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<TagLevel>('header', 'full'),
        fc.integer({ min: 20, max: MAX_TAGGED_LENGTH }),
        fc.nat(200),
        fc.nat(3),
        fc.nat(),
        (level, length, at, rounds, seed) => {
          const key = randomBytes(seed, TAG_KEY_LENGTH);
          const header = { level, index: 1 + (seed % 200), counter: seed + 1 };
          const payload = tagged(header, key, randomBytes(seed + 1, length));
          expect(write(level, key, payload, at, rounds)).toStrictEqual(payload.slice(0, 16));
        },
      ),
      { numRuns: 100 },
    );
  });

  test('are wrong when any one bit of what they prove is another', () => {
    const key = randomBytes(1, TAG_KEY_LENGTH);
    for (const [level, proved] of [
      ['full', 130],
      ['header', 64],
    ] as const) {
      const right = tagged({ level, index: 5, counter: 1 }, key, randomBytes(2, 130));
      const secret = secretOf(level, { index: 5, key });
      for (let bit = 0; bit < right.length * 8; bit += 1) {
        const at = bit >> 3;
        bytes.set(right, 35);
        bytes[35 + at] = (right[at] ?? 0) ^ (1 << (bit & 7));
        const covered = coveredLength(level, 130);
        expect(tagger.isRight(secret, 35, covered, 130)).toBe(at >= TAG_LENGTH + proved);
      }
    }
  });

  test('are those of each key, though they share a place', () => {
    const payloads = [3, 67, 131].map((index) => {
      const key = randomBytes(index, TAG_KEY_LENGTH);
      const payload = tagged({ level: 'full', index, counter: 1 }, key, randomBytes(9, 100));
      return { payload, secret: secretOf('full', { index, key }) };
    });
    for (const { payload, secret } of [...payloads, ...payloads]) {
      bytes.set(payload, 16);
      expect(tagger.isRight(secret, 16, 100, 100)).toBe(true);
    }
  });
});

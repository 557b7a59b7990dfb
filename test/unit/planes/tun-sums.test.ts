import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Arena } from '../../../src/adapters/planes/tun/arena.ts';
import { fold, sumBytes, word16 } from '../../../src/adapters/planes/tun/packet-sum.ts';
import { vectorMemory } from '../../../src/adapters/planes/tun/vector-memory.ts';
import { pattern, slowSum } from './tun-packets.ts';

const LENGTH = 70_000;

const vectors = vectorMemory(LENGTH);
const arenas = [
  { what: 'with vectors', arena: new Arena(LENGTH, () => 0n, vectors) },
  { what: 'without', arena: new Arena(LENGTH, () => 0n) },
];

test('there are vectors here', () => {
  expect(vectors).toBeDefined();
});

test('there are none where there is no room for them', () => {
  expect(vectorMemory(2 ** 48)).toBeUndefined();
});

describe.each(arenas)('sums $what', ({ arena }) => {
  test('are those of a simple loop, at any place and of any length', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(2000), fc.nat(255), (start, length, seed) => {
        const bytes = pattern(length, seed);
        arena.bytes.fill(0xee);
        arena.bytes.set(bytes, start);
        expect(word16(sumBytes(arena, start, length)) % 0xffff).toBe(slowSum(bytes) % 0xffff);
      }),
    );
  });

  test('do not overflow', () => {
    arena.bytes.fill(0xff);
    const all = slowSum(new Uint8Array(65_535).fill(0xff));
    for (const start of [0, 1, 2, 3]) {
      expect(word16(sumBytes(arena, start, 65_535))).toBe(all);
    }
  });

  test('are zero of nothing but zeros', () => {
    arena.bytes.fill(0);
    expect(sumBytes(arena, 7, 1000)).toBe(0);
    expect(sumBytes(arena, 7, 0)).toBe(0);
  });
});

test.each([
  [0, 0],
  [0xffff, 0xffff],
  [0x1_0000, 1],
  [0xffff_ffff, 0xffff],
  [0x1_0000_0000, 1],
  [0xffff * 0x1_0000_0000, 0xffff],
  [2 ** 53 - 1, 0x001f],
])('%d folds to %d', (sum, folded) => {
  expect(fold(sum)).toBe(folded);
});

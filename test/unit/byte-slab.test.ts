import { expect, test } from 'vitest';
import { cutBytes } from '../../src/core/byte-slab.ts';

test('what is cut is zero, of the length asked for, and nobody else’s', () => {
  const lengths = [0, 1, 32, 1000, 1023, 1024, 1025, 5000, 32, 3000, 32];
  const cuts = lengths.map((length, index) => {
    const bytes = cutBytes(length);
    expect(bytes).toEqual(new Uint8Array(length));
    return bytes.fill(index + 1);
  });
  for (const [index, bytes] of cuts.entries()) {
    expect(bytes).toEqual(new Uint8Array(lengths[index] ?? 0).fill(index + 1));
  }
});

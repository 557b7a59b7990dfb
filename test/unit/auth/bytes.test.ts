import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constantTimeEqual, formatChecksum, reverseBytes } from '../../../src/core/auth/bytes.ts';

describe('reverseBytes', () => {
  it('reverses a copy', () => {
    const bytes = Uint8Array.of(1, 2, 3);
    expect(reverseBytes(bytes)).toEqual(Uint8Array.of(3, 2, 1));
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe('constantTimeEqual', () => {
  it('agrees with plain comparison', () => {
    const bytes = fc.uint8Array({ maxLength: 4, max: 2 });
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(constantTimeEqual(a, b)).toBe(Buffer.from(a).equals(b));
      }),
      { numRuns: 2000 },
    );
  });

  it('tells an array from itself with zeros after it', () => {
    expect(constantTimeEqual(Uint8Array.of(1), Uint8Array.of(1, 0))).toBe(false);
    expect(constantTimeEqual(Uint8Array.of(1, 0), Uint8Array.of(1))).toBe(false);
  });
});

describe('formatChecksum', () => {
  // Values of the FNV reference (draft-eastlake-fnv): "", "a", "foobar".
  for (const [text, expected] of [
    ['', '811c9dc5'],
    ['a', 'e40c292c'],
    ['foobar', 'bf9cf968'],
  ] as const) {
    it(`of ${JSON.stringify(text)} is ${expected}`, () => {
      expect(formatChecksum(new TextEncoder().encode(text))).toBe(expected);
    });
  }
});

import { expect, test } from 'vitest';
import { decodePublicKey, encodePublicKey, parsePublicKey } from '../../src/core/public-key.ts';

const TEXT = 'eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=';

test('a key is its bytes in base64, and equal to others of the same bytes', () => {
  const bytes = Uint8Array.from(Buffer.from(TEXT, 'base64'));
  const key = decodePublicKey(bytes);
  expect(key).toBe(TEXT);
  expect(parsePublicKey(TEXT)).toBe(key);
  expect(encodePublicKey(key)).toEqual(bytes);
});

test('what is not 32 bytes is no key', () => {
  expect(() => decodePublicKey(new Uint8Array(31))).toThrow(RangeError);
  for (const text of ['', 'AAAA', `${TEXT}AAAA`, TEXT.slice(0, -1), TEXT.replace('/', '_')]) {
    expect(parsePublicKey(text)).toBeUndefined();
  }
});

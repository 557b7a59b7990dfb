import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatBase64, parseBase64 } from '../../src/core/base64.ts';

test.each([
  ['', []],
  ['AA==', [0]],
  ['AAE=', [0, 1]],
  ['/+8A', [255, 239, 0]],
])('%j is %j', (text, bytes) => {
  expect(parseBase64(text)).toEqual(Uint8Array.from(bytes));
  expect(formatBase64(Uint8Array.from(bytes))).toBe(text);
});

test.each(['A', 'AA', 'AA=', 'AAA', 'AB==', 'AAB=', 'A A=', 'AA==\n', '_-==', '====', 'AA==AA=='])(
  '%j is refused',
  (text) => {
    expect(parseBase64(text)).toBeUndefined();
  },
);

test('any bytes come back, and whatever is accepted is written the same again', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.oneof(fc.string(), fc.base64String()), (bytes, text) => {
      expect(parseBase64(formatBase64(bytes))).toEqual(bytes);
      const parsed = parseBase64(text);
      expect(parsed === undefined ? text : formatBase64(parsed)).toBe(text);
    }),
  );
});

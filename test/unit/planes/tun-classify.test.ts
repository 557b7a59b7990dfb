import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isData } from '../../../src/adapters/planes/tun/classify.ts';

const AUTH = new Set([0, 5, 73]);

const AT = 7;

/** A payload of `length` bytes whose IPv4 header says `total`, amid a buffer of other bytes. */
function payload(first: number, total: number, length: number): [Uint8Array, number, number] {
  const bytes = new Uint8Array(200).fill(0x45);
  bytes.fill(0, AT, AT + length);
  bytes[AT] = first;
  bytes[AT + 2] = total >> 8;
  bytes[AT + 3] = total & 0xff;
  return [bytes, AT, length];
}

describe('isData', () => {
  test.each([
    { what: 'an IPv4 packet', first: 0x45, total: 60, length: 60, data: true },
    { what: 'an IPv4 packet with options', first: 0x46, total: 24, length: 24, data: true },
    { what: 'an exact one of an auth length', first: 0x45, total: 73, length: 73, data: true },
    { what: 'a padded one', first: 0x45, total: 60, length: 64, data: true },
    { what: 'a padded one of an auth length', first: 0x45, total: 60, length: 73, data: false },
    { what: 'a truncated one', first: 0x45, total: 61, length: 60, data: false },
    { what: 'IPv6', first: 0x60, total: 60, length: 60, data: false },
    { what: 'a header that is too short', first: 0x44, total: 60, length: 60, data: false },
    { what: 'a total length below the header', first: 0x46, total: 20, length: 60, data: false },
    { what: 'nothing', first: 0x45, total: 60, length: 0, data: false },
    { what: 'less than a header', first: 0x45, total: 19, length: 19, data: false },
  ])('$what: $data', ({ first, total, length, data }) => {
    expect(isData(...payload(first, total, length), AUTH)).toBe(data);
  });

  test('nothing beyond the payload decides', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 120 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ maxLength: 40 }),
        (a, before, after) => {
          const longer = new Uint8Array([...before, ...a, ...after]);
          const alone = isData(a, 0, a.length, AUTH);
          expect(isData(longer, before.length, a.length, AUTH)).toBe(alone);
        },
      ),
    );
  });
});

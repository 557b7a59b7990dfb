import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isData } from '../../../src/adapters/planes/tun/classify.ts';

const AUTH = new Set([0, 5, 73]);

/** A payload of `length` bytes whose IPv4 header says `total`, in a longer buffer of other bytes. */
function payload(first: number, total: number, length: number): [Uint8Array, number] {
  const bytes = new Uint8Array(200).fill(0x45);
  bytes.fill(0, 0, length);
  bytes[0] = first;
  bytes[2] = total >> 8;
  bytes[3] = total & 0xff;
  return [bytes, length];
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
        (a, rest) => {
          const longer = new Uint8Array([...a, ...rest]);
          expect(isData(longer, a.length, AUTH)).toBe(isData(a, a.length, AUTH));
        },
      ),
    );
  });
});

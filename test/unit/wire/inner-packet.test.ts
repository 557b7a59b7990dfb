import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  IPV4_ALONE,
  isData,
  isInnerPacket,
  looksLikeData,
} from '../../../src/core/wire/inner-packet.ts';

const AUTH = new Set([0, 5, 73]);
const BOTH = { ipv4: true, ipv6: true };
const IPV6_ALONE = { ipv4: false, ipv6: true };

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
    expect(isData(...payload(first, total, length), AUTH, IPV4_ALONE)).toBe(data);
  });

  /** One whose IPv6 header says `content` bytes. */
  function payload6(content: number, length: number): [Uint8Array, number, number] {
    const [bytes] = payload(0x60, 0, length);
    bytes[AT + 5] = content;
    return [bytes, AT, length];
  }

  test.each([
    { what: 'an IPv6 packet', content: 20, length: 60, data: true },
    { what: 'a header alone', content: 0, length: 40, data: true },
    { what: 'an exact one of an auth length', content: 33, length: 73, data: true },
    { what: 'a padded one', content: 20, length: 64, data: true },
    { what: 'a padded one of an auth length', content: 20, length: 73, data: false },
    { what: 'a truncated one', content: 21, length: 60, data: false },
    { what: 'less than a header', content: 0, length: 39, data: false },
  ])('where IPv6 is carried, $what: $data', ({ content, length, data }) => {
    expect(isData(...payload6(content, length), AUTH, BOTH)).toBe(data);
    expect(isData(...payload6(content, length), AUTH, IPV6_ALONE)).toBe(data);
    expect(isData(...payload6(content, length), AUTH, IPV4_ALONE)).toBe(false);
  });

  test('IPv4 is no data where it is not carried', () => {
    expect(isData(...payload(0x45, 60, 60), AUTH, BOTH)).toBe(true);
    expect(isData(...payload(0x45, 60, 60), AUTH, IPV6_ALONE)).toBe(false);
  });

  test('nothing beyond the payload decides', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 120 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ maxLength: 40 }),
        (a, before, after) => {
          const longer = new Uint8Array([...before, ...a, ...after]);
          const alone = isData(a, 0, a.length, AUTH, BOTH);
          expect(isData(longer, before.length, a.length, AUTH, BOTH)).toBe(alone);
        },
      ),
    );
  });
});

describe('isInnerPacket', () => {
  const ipv4 = Uint8Array.from([0x45, 0, 0, 24, ...new Uint8Array(20)]);
  const ipv6 = Uint8Array.from([0x60, 0, 0, 0, 0, 2, ...new Uint8Array(36)]);

  it('knows whole IPv4 and IPv6 packets', () => {
    expect(isInnerPacket(ipv4)).toBe(true);
    expect(isInnerPacket(ipv6)).toBe(true);
  });

  it('refuses them cut or grown', () => {
    for (const packet of [ipv4, ipv6]) {
      for (let length = 0; length < packet.length; length++) {
        expect(isInnerPacket(packet.subarray(0, length))).toBe(false);
      }
      expect(isInnerPacket(Uint8Array.from([...packet, 0]))).toBe(false);
    }
  });
});

describe('looksLikeData', () => {
  const inner = '4500001c00000000400100000a0000010a000002';
  it.each([
    ['a whole packet', `${inner}0000000000000000`, true],
    ['a packet with bytes after it', `${inner}00000000000000000000`, true],
    ['a packet that is cut short', `${inner}00000000000000`, false],
    ['version 6', `65${inner.slice(2)}0000000000000000`, false],
    ['a short header', `44${inner.slice(2)}0000000000000000`, false],
    ['a header longer than the total length', `4f${inner.slice(2)}${'00'.repeat(60)}`, false],
    ['a total length below the header', `45000013${inner.slice(8)}0000000000000000`, false],
    ['a header alone', `45000014${inner.slice(8)}`, true],
    ['nineteen bytes', `45000013${inner.slice(8, 38)}`, false],
    ['nothing', '', false],
  ])('judges %s', (_name, hex, expected) => {
    expect(looksLikeData(Uint8Array.from(Buffer.from(hex, 'hex')), IPV4_ALONE)).toBe(expected);
  });
});

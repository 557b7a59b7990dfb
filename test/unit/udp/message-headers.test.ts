import { describe, expect, test } from 'vitest';
import {
  encodeHopLimit,
  encodeIovec,
  encodeMessage,
  encodePktinfo,
  encodePktinfo6,
  encodeTtl,
  findPktinfo6,
  readPktinfo,
  viewOf,
} from '../../../src/adapters/udp/message-headers.ts';

/** Bytes that hex spells; the literals below are those of a little-endian machine (x86-64, arm64). */
function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
}

const PKTINFO = hex(`
  1c00000000000000 00000000 08000000
  00000000 0a090001 00000000 00000000`);

describe('control messages', () => {
  test('IP_PKTINFO names the source address', () => {
    const bytes = new Uint8Array(32);
    encodePktinfo(bytes, 0x0a090001);
    expect(bytes).toEqual(PKTINFO);
  });

  test('IP_TTL follows at its offset', () => {
    const bytes = new Uint8Array(56);
    encodeTtl(bytes, 32, 7);
    expect(bytes.subarray(0, 32)).toEqual(new Uint8Array(32));
    expect(bytes.subarray(32)).toEqual(hex('1400000000000000 00000000 02000000 07000000 00000000'));
  });

  test.each([
    { what: 'a packet to us', spec: '0a090001', to: '0a090001', read: 0x0a090001 },
    { what: 'an address above 127', spec: 'cb007101', to: 'cb007101', read: 0xcb007101 },
    { what: 'a broadcast', spec: '0a090001', to: '0a0900ff', read: undefined },
  ])('the destination of $what', ({ spec, to, read }) => {
    const bytes = hex(`1c00000000000000 00000000 08000000 02000000 ${spec} ${to} 00000000`);
    expect(readPktinfo(viewOf(bytes), 0, 32)).toBe(read);
  });

  test('no destination without IP_PKTINFO', () => {
    const bytes = hex(`1c00000000000000 00000000 08000000 02000000 0a090001 0a090001 00000000`);
    expect(readPktinfo(viewOf(bytes), 0, 32)).toBe(0x0a090001);
    for (let length = 0; length < 28; length += 1) {
      expect(readPktinfo(viewOf(bytes), 0, length)).toBeUndefined();
    }
    const otherType = bytes.with(12, 2);
    expect(readPktinfo(viewOf(otherType), 0, 32)).toBeUndefined();
    const otherLevel = bytes.with(8, 1);
    expect(readPktinfo(viewOf(otherLevel), 0, 32)).toBeUndefined();
  });
});

describe('control messages of IPv6', () => {
  const ADDRESS = '20010db8000000000000000000000001';
  const INFO = `2400000000000000 29000000 32000000 ${ADDRESS} 00000000`;

  test('IPV6_PKTINFO names the source address, and IPV6_HOPLIMIT follows', () => {
    const bytes = new Uint8Array(64);
    encodePktinfo6(bytes, hex(ADDRESS));
    encodeHopLimit(bytes, 40, 7);
    expect(bytes).toEqual(
      hex(`${INFO} 00000000 1400000000000000 29000000 34000000 07000000 00000000`),
    );
  });

  test.each([
    { what: 'a packet to us', to: ADDRESS, found: 16 },
    { what: 'a multicast', to: 'ff020000000000000000000000000001', found: undefined },
  ])('where the destination of $what is', ({ to, found }) => {
    const bytes = hex(`${INFO.replace(ADDRESS, to)} 00000000`);
    expect(findPktinfo6(viewOf(bytes), 0, 40)).toBe(found);
  });

  test('no destination without a whole IPV6_PKTINFO', () => {
    const bytes = hex(INFO);
    for (let length = 0; length < 36; length += 1) {
      expect(findPktinfo6(viewOf(bytes), 0, length)).toBeUndefined();
    }
    expect(findPktinfo6(viewOf(bytes.with(12, 8)), 0, 36)).toBeUndefined();
    expect(findPktinfo6(viewOf(bytes.with(8, 0)), 0, 36)).toBeUndefined();
  });
});

const MESSAGE = hex(`
  1000000000000000 10000000 00000000
  2000000000000000 0100000000000000
  3000000000000000 2000000000000000
  00000000 00000000`);

describe('messages', () => {
  test('struct msghdr and struct iovec', () => {
    const message = new Uint8Array(56);
    encodeMessage(message, { name: 0x10n, iovec: 0x20n, control: 0x30n }, 32);
    expect(message).toEqual(MESSAGE);
    const longer = { name: 0x10n, nameLength: 28, iovec: 0x20n, control: 0x30n };
    encodeMessage(message, longer, 32);
    expect(message).toEqual(MESSAGE.with(8, 28));
    const iovec = new Uint8Array(16);
    encodeIovec(iovec, 0x7f00_1234_5678_9abcn, 1500);
    expect(iovec).toEqual(hex('bc9a785634 12007f dc05000000000000'));
  });
});

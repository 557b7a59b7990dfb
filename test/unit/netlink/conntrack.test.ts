import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outerIpv4FromNumber, type OuterIp } from '../../../src/core/addr.ts';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import {
  decodeConntrack,
  encodeDelConntrack,
  encodeGetConntrack,
  type ConntrackEntry,
} from '../../../src/core/netlink/conntrack.ts';
import { succeed } from '../../../src/core/result.ts';
import { holdsAgainstBadBytes } from './decoder-checks.ts';
import { hex } from './hex.ts';

const HEADER = 4;

/*
 * Linux 6.18: what `conntrack -D -p udp -s 192.0.2.1 -d 192.0.2.9 --sport 1000 --dport 10000`
 * (conntrack-tools 1.4.7) reads and sends, by strace.
 */
const ORIGINAL = `3400 0180 1400 0180 0800 0100 c0000201 0800 0200 c0000209
  1c00 0280 0500 0100 11000000 0600 0200 03e80000 0600 0300 27100000`;
const ENTRY = hex(`02000000 ${ORIGINAL}
  3400 0280 1400 0180 0800 0100 c0000209 0800 0200 c0000201
    1c00 0280 0500 0100 11000000 0600 0200 27100000 0600 0300 03e80000
  0800 0300 00000008  0800 0800 00000000  0800 0c00 fb31a18c  0800 0b00 00000001  0800 0700 0000003b
  1c00 1880 0800 0100 00000000 0800 0200 00000000 0800 0300 00000000`);

const entry: ConntrackEntry = {
  original: {
    source: '192.0.2.1' as OuterIp,
    destination: '192.0.2.9' as OuterIp,
    protocol: 17,
    sourcePort: 1000,
    destinationPort: 10000,
  },
  reply: {
    source: '192.0.2.9' as OuterIp,
    destination: '192.0.2.1' as OuterIp,
    protocol: 17,
    sourcePort: 10000,
    destinationPort: 1000,
  },
  id: 0xfb31a18c,
  zone: 0,
};

describe.runIf(HOST_IS_LITTLE_ENDIAN)('encoding', () => {
  it.each([
    ['ipv4', '02000000'],
    ['ipv6', '0a000000'],
  ] as const)('asks for all %s entries', (family, payload) => {
    expect(encodeGetConntrack(family)).toEqual({
      operation: 'IPCTNL_MSG_CT_GET',
      type: 0x101,
      flags: 0,
      payload: hex(payload),
    });
  });

  it('deletes by the original tuple, as conntrack does, and by the id', () => {
    expect(encodeDelConntrack(entry)).toEqual({
      operation: 'IPCTNL_MSG_CT_DELETE',
      type: 0x102,
      flags: 0,
      payload: hex(`02000000 ${ORIGINAL} 0800 0c00 fb31a18c`),
    });
  });

  it('names the zone where there is one', () => {
    expect(encodeDelConntrack({ ...entry, id: undefined, zone: 7 }).payload).toEqual(
      hex(`02000000 ${ORIGINAL} 0600 1200 00070000`),
    );
  });
});

describe('decodeConntrack', () => {
  it.runIf(HOST_IS_LITTLE_ENDIAN)('reads an entry', () => {
    expect(decodeConntrack(ENTRY)).toEqual(succeed(entry));
  });

  it.runIf(HOST_IS_LITTLE_ENDIAN)('reads every pair of tuples', () => {
    const ip = fc.integer({ min: 0, max: 0xffffffff }).map(outerIpv4FromNumber);
    const tuple = fc.record({
      source: ip,
      destination: ip,
      protocol: fc.nat(255),
      sourcePort: fc.nat(65535),
      destinationPort: fc.nat(65535),
    });
    fc.assert(
      fc.property(tuple, tuple, fc.nat(0xffffffff), fc.nat(65535), (original, reply, id, zone) => {
        const encoded = encodeDelConntrack({ original, reply, id, zone }).payload;
        const answer = encodeDelConntrack({ ...entry, original: reply }).payload;
        // The reply's tuple is encoded like the original's but for its type, 2.
        const second = answer.slice(HEADER, HEADER + 0x34).with(2, 2);
        expect(decodeConntrack(Uint8Array.from([...encoded, ...second]))).toEqual(
          succeed({ original, reply, id, zone }),
        );
      }),
    );
  });

  it.runIf(HOST_IS_LITTLE_ENDIAN)('reads an entry of IPv6, and names it', () => {
    const [one, two] = ['2001:db8::1' as OuterIp, '2001:db8::9' as OuterIp];
    const original = { ...entry.original, source: one, destination: two };
    const reply = { ...entry.reply, source: two, destination: one };
    const encoded = encodeDelConntrack({ ...entry, original }).payload;
    expect(encoded.subarray(0, HEADER)).toEqual(hex('0a000000'));
    const turned = encodeDelConntrack({ ...entry, original: reply }).payload;
    const second = turned.slice(HEADER, HEADER + 0x4c).with(2, 2);
    expect(decodeConntrack(Uint8Array.from([...encoded, ...second]))).toEqual(
      succeed({ ...entry, original, reply }),
    );
  });

  it('refuses another family, and an entry that lacks a tuple', () => {
    expect(decodeConntrack(ENTRY.with(0, 10)).ok).toBe(false);
    expect(decodeConntrack(ENTRY.with(0, 7)).ok).toBe(false);
    expect(decodeConntrack(ENTRY.subarray(0, HEADER + 0x34)).ok).toBe(false);
    expect(decodeConntrack(ENTRY.subarray(0, HEADER)).ok).toBe(false);
  });

  if (HOST_IS_LITTLE_ENDIAN) holdsAgainstBadBytes(decodeConntrack, ENTRY, HEADER);
});

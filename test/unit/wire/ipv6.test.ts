import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeOuterIpv6, encodeIp } from '../../../src/core/addr.ts';
import { decodeIpv6Header, encodeIpv6Header, whyNotPayload } from '../../../src/core/wire/ipv6.ts';
import { hex } from '../netlink/hex.ts';
import { address, AT6, globalIps, MAPPED } from './ipv6-packets.ts';

/** `ping -c1 -Q 0x2e -s0 fd28::2` of Linux 6.18, up to the ICMPv6 header, with a flow label of its own choice. */
const RECORDED = hex(`62e06591 0008 3a 40
  fd280000000000000000000000000001  fd280000000000000000000000000002  8000 3eeb 467c 0001`);

function changed(change: (packet: Uint8Array) => unknown): Uint8Array {
  const packet = RECORDED.slice();
  change(packet);
  return packet;
}

describe('decodeIpv6Header', () => {
  it('reads every field', () => {
    expect(decodeIpv6Header(RECORDED, decodeOuterIpv6)).toEqual({
      ok: true,
      value: {
        totalLength: 48,
        trafficClass: 0x2e,
        flowLabel: 0x06591,
        nextHeader: 58,
        hopLimit: 64,
        source: 'fd28::1',
        destination: 'fd28::2',
      },
    });
  });

  it('ignores link-layer padding', () => {
    const padded = Uint8Array.of(...RECORDED, 0, 0, 0);
    expect(decodeIpv6Header(padded, decodeOuterIpv6)).toMatchObject({
      ok: true,
      value: { totalLength: 48 },
    });
  });

  it.each<[string, (packet: Uint8Array) => unknown]>([
    ['IP version 4', (p) => (p[0] = 0x45)],
    ['IP version 7', (p) => (p[0] = 0x72)],
    ['total length 49 where 48 bytes are there', (p) => (p[5] = 9)],
    ['total length 65575 where 48 bytes are there', (p) => p.fill(0xff, 4, 6)],
    ['a jumbogram', (p) => p.fill(0, AT6.payloadLength, AT6.nextHeader + 1)],
    ['a multicast source', (p) => (p[AT6.source] = 0xff)],
    ['an IPv4-mapped address', (p) => p.set(MAPPED, AT6.source)],
    ['an IPv4-mapped address', (p) => p.set(MAPPED, AT6.destination)],
  ])('refuses: %s', (reason, spoil) => {
    expect(decodeIpv6Header(changed(spoil), decodeOuterIpv6)).toEqual({ ok: false, reason });
  });

  it('refuses every truncation', () => {
    for (let length = 0; length < RECORDED.length; length += 1) {
      expect(decodeIpv6Header(RECORDED.subarray(0, length), decodeOuterIpv6).ok).toBe(false);
    }
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        decodeIpv6Header(bytes, decodeOuterIpv6);
      }),
    );
  });
});

describe('encodeIpv6Header', () => {
  it('writes these bytes', () => {
    const header = encodeIpv6Header({
      payloadLength: 8,
      trafficClass: 0x2e,
      flowLabel: 0x06591,
      nextHeader: 58,
      hopLimit: 64,
      source: address('fd28::1'),
      destination: address('fd28::2'),
    });
    expect(header).toEqual(RECORDED.slice(0, 40));
  });

  it('is read back', () => {
    fc.assert(
      fc.property(
        fc.record({
          trafficClass: fc.nat(255),
          flowLabel: fc.nat(0xf_ffff),
          nextHeader: fc.integer({ min: 1, max: 255 }),
          hopLimit: fc.nat(255),
          source: globalIps,
          destination: globalIps,
        }),
        fc.nat(200),
        (fields, payloadLength) => {
          const packet = new Uint8Array(40 + payloadLength);
          packet.set(encodeIpv6Header({ ...fields, payloadLength }));
          expect(decodeIpv6Header(packet, decodeOuterIpv6)).toEqual({
            ok: true,
            value: { ...fields, totalLength: packet.length },
          });
          expect(packet.subarray(8, 24)).toEqual(encodeIp(fields.source));
        },
      ),
    );
  });

  it('refuses to write a jumbogram', () => {
    const [source, destination] = [address('::1'), address('::1')];
    const fields = { nextHeader: 17, hopLimit: 1, source, destination };
    expect(() => encodeIpv6Header({ ...fields, payloadLength: 65_536 })).toThrow(RangeError);
  });
});

describe('whyNotPayload', () => {
  it.each([
    [0, 'IPv6 extension header 0'],
    [43, 'IPv6 extension header 43'],
    [44, 'a fragment'],
    [60, 'IPv6 extension header 60'],
    [6, 'IP protocol 6'],
    [59, 'IP protocol 59'],
  ])('of %i: %s', (nextHeader, words) => {
    expect(whyNotPayload(nextHeader)).toBe(words);
  });
});

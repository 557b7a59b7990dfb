import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeIp } from '../../../src/core/addr.ts';
import { encodeU16be } from '../../../src/core/bytes.ts';
import { port } from '../../../src/core/units.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../src/core/wire/checksum.ts';
import { decodeUdp, encodeUdpPacket, maxUdpPayload } from '../../../src/core/wire/udp.ts';
import { hex } from '../netlink/hex.ts';
import {
  address,
  AT6,
  changed6,
  endpoints6,
  extended6,
  IMPROPER_SOURCES,
  MAPPED,
  PATH6,
} from './ipv6-packets.ts';

const RULES = [{ zeroChecksum: false }, { zeroChecksum: true }];

describe('decodeUdp of IPv6', () => {
  it.each([0, 43, 50, 51, 60, 135, 139, 140])('refuses extension header %i', (number) => {
    const reason = `IPv6 extension header ${number}`;
    expect(decodeUdp(extended6(number))).toEqual({ ok: false, reason });
  });

  it('refuses a fragment, also one that is the whole packet', () => {
    expect(decodeUdp(extended6(44))).toEqual({ ok: false, reason: 'a fragment' });
  });

  it.each<[string, (packet: Uint8Array) => unknown]>([
    ['IP protocol 6', (p) => (p[AT6.nextHeader] = 6)],
    ['IP protocol 58', (p) => (p[AT6.nextHeader] = 58)],
    ['IP protocol 59', (p) => (p[AT6.nextHeader] = 59)],
    ['a jumbogram', (p) => p.fill(0, AT6.payloadLength, AT6.nextHeader + 1)],
    ['7 bytes are no UDP header', (p) => (p[AT6.payloadLength + 1] = 7)],
    ['0 bytes are no UDP header', (p) => (p[AT6.payloadLength + 1] = 0)],
    ['total length 52 where 51 bytes are there', (p) => (p[AT6.payloadLength + 1] = 12)],
    ['UDP length 7 where 11 bytes are there', (p) => (p[AT6.udpLength + 1] = 7)],
    ['UDP length 12 where 11 bytes are there', (p) => (p[AT6.udpLength + 1] = 12)],
    ['UDP length 0 where 11 bytes are there', (p) => (p[AT6.udpLength + 1] = 0)],
    ['an IPv4-mapped address', (p) => p.set(MAPPED, AT6.source)],
    ['an IPv4-mapped address', (p) => p.set(MAPPED, AT6.destination)],
    ['a link-local address', (p) => p.set(encodeIp(address('fe80::2')), AT6.destination)],
    ['no UDP checksum', (p) => p.fill(0, AT6.udpChecksum, AT6.udpChecksum + 2)],
    ['wrong UDP checksum', (p) => (p[AT6.udpChecksum] = (p[AT6.udpChecksum] ?? 0) ^ 1)],
    ['wrong UDP checksum', (p) => (p[AT6.source + 15] = 9)],
  ])('refuses: %s', (reason, spoil) => {
    expect(decodeUdp(changed6(spoil))).toEqual({ ok: false, reason });
  });

  it.each(IMPROPER_SOURCES)('refuses %s: %s', (reason, source) => {
    const packet = changed6((p) => p.set(encodeIp(address(source)), AT6.source));
    for (const rules of RULES) expect(decodeUdp(packet, rules)).toEqual({ ok: false, reason });
  });

  it('takes a datagram without a checksum where it may, and a wrong one never', () => {
    const zero = changed6((p) => p.fill(0, AT6.udpChecksum, AT6.udpChecksum + 2));
    const { local, remote } = PATH6;
    expect(decodeUdp(zero, { zeroChecksum: true })).toEqual({
      ok: true,
      value: { source: local, destination: remote, payload: Uint8Array.of(1, 2, 3), ttl: 9 },
    });
    const wrong = changed6((p) => (p[AT6.udpChecksum] = (p[AT6.udpChecksum] ?? 0) ^ 1));
    expect(decodeUdp(wrong, { zeroChecksum: true }).ok).toBe(false);
  });

  it('ends the payload where the UDP length says', () => {
    const packet = changed6((p) => {
      p[AT6.udpLength + 1] = 9;
      p.fill(0, AT6.udpChecksum, AT6.udpChecksum + 2);
      const pseudo = pseudoHeaderSum(PATH6.local.ip, PATH6.remote.ip, 17, 9);
      const sum = internetChecksum(p.subarray(AT6.udp, AT6.udp + 9), pseudo);
      p.set(encodeU16be(sum), AT6.udpChecksum);
    });
    expect(decodeUdp(packet)).toMatchObject({ ok: true, value: { payload: Uint8Array.of(1) } });
  });

  it('refuses every truncation, also where the headers agree with it', () => {
    const packet = changed6();
    for (let length = 0; length < packet.length; length += 1) {
      expect(decodeUdp(packet.subarray(0, length)).ok).toBe(false);
      const short = packet.slice(0, length);
      if (length >= AT6.udp) short.set(encodeU16be(length - AT6.udp), AT6.payloadLength);
      for (const rules of RULES) expect(decodeUdp(short, rules).ok).toBe(false);
    }
  });

  it('lets nothing out of what is spoiled anywhere, and never throws', () => {
    const spoilers = fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { minLength: 1, maxLength: 6 });
    const bases = fc.constantFrom(changed6(), extended6(0), extended6(44), extended6(60));
    fc.assert(
      fc.property(bases, spoilers, (base, spoilt) => {
        const packet = base.slice();
        for (const [at, byte] of spoilt) if (at < packet.length) packet[at] = byte;
        const decoded = decodeUdp(packet);
        if (!decoded.ok) {
          expect(decoded.reason).not.toBe('');
          return;
        }
        // Only what says all of it: bytes that matter to no test are class, label and hop limit.
        const { source, destination, payload } = decoded.value;
        expect([packet[6], packet[0] === undefined ? 0 : packet[0] >> 4]).toEqual([17, 6]);
        const pseudo = pseudoHeaderSum(source.ip, destination.ip, 17, payload.length + 8);
        const datagram = packet.subarray(AT6.udp, AT6.udp + 8 + payload.length);
        expect(internetChecksum(datagram, pseudo)).toBe(0);
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        if (bytes.length > 0) bytes[0] = 0x60;
        for (const rules of RULES) decodeUdp(bytes, rules);
      }),
    );
  });
});

describe('encodeUdpPacket of IPv6', () => {
  it('writes these bytes', () => {
    const packet = encodeUdpPacket({
      path: PATH6,
      payload: new TextEncoder().encode('hi!'),
      ttl: 64,
      dontFragment: true,
      checksum: true,
    });
    // The checksum was worked out apart, by summing these bytes and the pseudo header as 16-bit words.
    expect(packet).toEqual(
      hex(`60000000000b1140 20010db8000000000000000000000001 20010db8000000000000000000000002
        2710 2711 000b ccd8 686921`),
    );
  });

  it('sends a computed zero as all ones', () => {
    const probe = changed6();
    const spare = ((probe[AT6.udpChecksum] ?? 0) << 8) | (probe[AT6.udpChecksum + 1] ?? 0);
    // Bytes 1, 2 and 3 left `spare`: these leave nothing.
    const sum = spare + 0x0102 + 0x0300;
    const left = (sum & 0xffff) + (sum >> 16);
    const packet = encodeUdpPacket({
      path: PATH6,
      payload: Uint8Array.of(left >> 8, left & 255, 0),
      ttl: 9,
      dontFragment: false,
      checksum: true,
    });
    expect([...packet.subarray(AT6.udpChecksum, AT6.udpChecksum + 2)]).toEqual([0xff, 0xff]);
    expect(decodeUdp(packet).ok).toBe(true);
  });

  it('is read back, with and without a checksum', () => {
    fc.assert(
      fc.property(
        endpoints6,
        endpoints6,
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (local, remote, payload, ttl, checksum) => {
          const path = { local, remote };
          const packet = encodeUdpPacket({ path, payload, ttl, dontFragment: false, checksum });
          const value = { source: local, destination: remote, payload, ttl };
          expect(decodeUdp(packet, { zeroChecksum: !checksum })).toEqual({ ok: true, value });
          if (!checksum) expect(decodeUdp(packet).ok).toBe(false);
        },
      ),
    );
  });

  it('takes the longest payload and no longer one', () => {
    const options = { path: PATH6, ttl: 1, dontFragment: false, checksum: true };
    const longest = encodeUdpPacket({ ...options, payload: new Uint8Array(maxUdpPayload('ipv6')) });
    expect(longest.length).toBe(65_575);
    expect(decodeUdp(longest).ok).toBe(true);
    const payload = new Uint8Array(maxUdpPayload('ipv6') + 1);
    expect(() => encodeUdpPacket({ ...options, payload })).toThrow(RangeError);
  });

  it('refuses a path of two families', () => {
    const path = { local: PATH6.local, remote: { ip: address('10.0.0.1'), port: port(1) } };
    const packet = { payload: new Uint8Array(1), ttl: 1, dontFragment: true, checksum: true };
    expect(() => encodeUdpPacket({ ...packet, path })).toThrow(RangeError);
    expect(() =>
      encodeUdpPacket({ ...packet, path: { local: path.remote, remote: path.local } }),
    ).toThrow(RangeError);
  });
});

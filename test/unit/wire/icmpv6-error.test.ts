import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeOuterIpv6, type Path } from '../../../src/core/addr.ts';
import { encodeU16be, encodeU32be } from '../../../src/core/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../src/core/wire/checksum.ts';
import { decodeIcmpError, decodeIcmpv6Error } from '../../../src/core/wire/icmp-error.ts';
import { decodeIpv6Header, encodeIpv6Header } from '../../../src/core/wire/ipv6.ts';
import { encodeUdpPacket } from '../../../src/core/wire/udp.ts';
import { hex } from '../netlink/hex.ts';
import { address, endpoints6, MAPPED, PATH6 } from './ipv6-packets.ts';

/*
 * What Linux 6.18 sent when nothing listened: `tcpdump -nxi v0 icmp6` between two namespaces, about a
 * datagram of "hello" from [fd28::1]:10000 to [fd28::2]:10001.
 */
const RECORDED =
  hex(`6000c3b4003d3a40 fd280000000000000000000000000002 fd280000000000000000000000000001
  0104 811d 00000000  60008afc000d1140 fd280000000000000000000000000001 fd280000000000000000000000000002
  2710 2711 000d fa72 68656c6c6f`);

/** Offsets in a packet: of the message, the quoted header, and the quoted ports. */
const [ICMP, QUOTED, PORTS] = [40, 48, 88];
const BY = address('2001:db8:7::7');

type ErrorSpec = {
  readonly type?: number;
  readonly code?: number;
  readonly mtu?: number;
  readonly path?: Path;
  /** Bytes of the packet that are quoted, of 80. */
  readonly quoted?: number;
};

/** An ICMPv6 error about a datagram of 32 bytes. */
function errorPacket(spec: ErrorSpec = {}): Uint8Array {
  const { type = 1, code = 4, mtu = 0, path = PATH6, quoted = 80 } = spec;
  const payload = new Uint8Array(32).fill(0x5a);
  const about = encodeUdpPacket({ path, payload, ttl: 60, dontFragment: true, checksum: true });
  const message = Uint8Array.of(type, code, 0, 0, ...encodeU32be(mtu), ...about.slice(0, quoted));
  const header = encodeIpv6Header({
    payloadLength: message.length,
    nextHeader: 58,
    hopLimit: 64,
    source: BY,
    destination: path.local.ip,
  });
  return mended(Uint8Array.of(...header, ...message));
}

/** A changed copy, with its checksum made right, whatever its headers say. */
function mended(
  packet: Uint8Array,
  change: (packet: Uint8Array) => unknown = () => undefined,
): Uint8Array {
  const copy = packet.slice();
  change(copy);
  const header = decodeIpv6Header(copy, decodeOuterIpv6);
  if (!header.ok || copy.length < ICMP + 4) return copy;
  const { source, destination, totalLength } = header.value;
  copy.set([0, 0], ICMP + 2);
  const message = copy.subarray(ICMP, totalLength);
  const sum = internetChecksum(message, pseudoHeaderSum(source, destination, 58, message.length));
  copy.set(encodeU16be(sum), ICMP + 2);
  return copy;
}

describe('decodeIcmpError of IPv6', () => {
  const path = {
    local: { ip: 'fd28::1', port: 10_000 },
    remote: { ip: 'fd28::2', port: 10_001 },
  };

  it('reads what a kernel sent', () => {
    const error = { kind: 'unreachable', code: 'port', from: 'fd28::2' };
    expect(decodeIcmpError(RECORDED)).toEqual({ ok: true, value: { path, error } });
  });

  it('reads the message alone, as a raw socket has it', () => {
    const message = RECORDED.subarray(ICMP);
    const [from, to] = [address('fd28::2'), address('fd28::1')];
    expect(decodeIcmpv6Error(message, { from, to })).toEqual(decodeIcmpError(RECORDED));
    expect(decodeIcmpv6Error(message, { from, to: from })).toEqual({
      ok: false,
      reason: 'about a packet from fd28::1, told to fd28::2',
    });
  });

  it.each([
    [1, 0, 'net'],
    [1, 1, 'prohibited'],
    [1, 2, 'net'],
    [1, 3, 'host'],
    [1, 4, 'port'],
    [1, 5, 'prohibited'],
    [1, 6, 'net'],
    [1, 7, 'other'],
    [3, 0, 'hops'],
    [4, 0, 'other'],
    [4, 1, 'protocol'],
  ])('says of type %i, code %i: %s', (type, code, said) => {
    expect(decodeIcmpError(errorPacket({ type, code }))).toEqual({
      ok: true,
      value: { path: PATH6, error: { kind: 'unreachable', code: said, from: BY } },
    });
  });

  it.each([
    [1400, 1400],
    [1280, 1280],
    [0x1_0000, 0x1_0000],
    [1279, undefined],
    [0, undefined],
  ])('reads a next hop that takes %s', (told, mtu) => {
    expect(decodeIcmpError(errorPacket({ type: 2, code: 0, mtu: told }))).toEqual({
      ok: true,
      value: { path: PATH6, error: { kind: 'too-big', mtu } },
    });
  });

  it('takes a quotation that routers have changed on the way', () => {
    const changed = mended(RECORDED, (p) => {
      p[QUOTED + 1] = 0x2f;
      p[QUOTED + 7] = 1;
    });
    expect(decodeIcmpError(changed)).toMatchObject({ ok: true });
  });

  it.each<[string, (packet: Uint8Array) => unknown]>([
    ['IP protocol 17', (p) => (p[6] = 17)],
    ['a fragment', (p) => (p[6] = 44)],
    ['IPv6 extension header 0', (p) => (p[6] = 0)],
    ['7 bytes are no ICMPv6 message', (p) => (p[5] = 7)],
    ['ICMPv6 type 0', (p) => (p[ICMP] = 0)],
    ['ICMPv6 type 128', (p) => (p[ICMP] = 128)],
    ['ICMPv6 type 134', (p) => (p[ICMP] = 134)],
    ['47 bytes of the quoted packet', (p) => (p[5] = 55)],
    ['quoted IP version 4', (p) => (p[QUOTED] = 0x45)],
    ['quoted: IP protocol 58', (p) => (p[QUOTED + 6] = 58)],
    ['quoted: IPv6 extension header 60', (p) => (p[QUOTED + 6] = 60)],
    ['quoted: a fragment', (p) => (p[QUOTED + 6] = 44)],
    ['quoted UDP port 0', (p) => p.fill(0, PORTS, PORTS + 2)],
    ['quoted UDP port 0', (p) => p.fill(0, PORTS + 2, PORTS + 4)],
    ['about a packet from 2001:db8::3, told to 2001:db8::1', (p) => (p[QUOTED + 23] = 3)],
    ['a multicast source', (p) => (p[8] = 0xff)],
    ['an IPv4-mapped address', (p) => p.set(MAPPED, 8)],
  ])('refuses: %s', (reason, spoil) => {
    const packet = mended(errorPacket({ quoted: 48 }), spoil);
    expect(decodeIcmpError(packet)).toEqual({ ok: false, reason });
  });

  it('refuses a wrong checksum, whichever bit is wrong', () => {
    // Class, label and hop limit are not covered (RFC 8200, section 8.1).
    const covered = fc.nat(RECORDED.length * 8 - 1).filter((bit) => bit >= 32 && bit >> 3 !== 7);
    fc.assert(
      fc.property(covered, (bit) => {
        const spoiled = RECORDED.slice();
        spoiled[bit >> 3] = (spoiled[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(decodeIcmpError(spoiled).ok).toBe(false);
      }),
    );
  });

  it('refuses every truncation, also where header and checksum agree with it', () => {
    for (let length = 0; length < RECORDED.length; length += 1) {
      expect(decodeIcmpError(RECORDED.subarray(0, length)).ok).toBe(false);
    }
    for (let length = ICMP; length < RECORDED.length; length += 1) {
      const short = mended(RECORDED.slice(0, length), (p) => (p[5] = length - ICMP));
      expect(decodeIcmpError(short).ok).toBe(length >= PORTS + 8);
    }
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.integer({ min: 1, max: 4 }),
        (quoted, type) => {
          const packet = new Uint8Array(QUOTED + quoted.length);
          packet.set(errorPacket({ type }).subarray(0, QUOTED));
          packet.set(quoted, QUOTED);
          decodeIcmpError(mended(packet, (p) => p.set(encodeU16be(p.length - ICMP), 4)));
        },
      ),
    );
  });

  it('tells the way of any packet', () => {
    fc.assert(
      fc.property(
        endpoints6,
        endpoints6,
        fc.integer({ min: 48, max: 80 }),
        (local, remote, quoted) => {
          const decoded = decodeIcmpError(errorPacket({ path: { local, remote }, quoted }));
          expect(decoded).toMatchObject({ ok: true, value: { path: { local, remote } } });
        },
      ),
    );
  });
});

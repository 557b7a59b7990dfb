import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outerIpv4FromNumber, type Path } from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';
import { decodeIcmpError } from '../../../src/core/wire/icmp-error.ts';
import { hex } from '../netlink/hex.ts';
import { ABOUT, errorPacket, mended, TOLD } from './icmp-packets.ts';

/*
 * What Linux 6.18 sent when nothing listened: `tcpdump -nxi v0 icmp` between two namespaces, about a
 * datagram of "hello" from 10.9.0.1:10000 to 10.9.0.2:10001.
 */
const RECORDED = hex(`45c0003d6b6c00004001fa7f 0a090002 0a090001
  0303 56c9 00000000  45000021cdb940004011 58fe 0a090001 0a090002  2710 2711 000d 1433 68656c6c6f`);

/** Offsets in a packet without options: of the ICMP message, the quoted header, and the quoted ports. */
const [ICMP, QUOTED, PORTS] = [20, 28, 48];

describe('decodeIcmpError', () => {
  it('reads what a kernel sent', () => {
    expect(decodeIcmpError(RECORDED)).toEqual({
      ok: true,
      value: {
        path: { local: { ip: '10.9.0.1', port: 10_000 }, remote: { ip: '10.9.0.2', port: 10_001 } },
        error: { kind: 'unreachable', code: 'port', from: '10.9.0.2' },
      },
    });
  });

  it.each([
    [3, 0, 'net'],
    [3, 1, 'host'],
    [3, 2, 'protocol'],
    [3, 3, 'port'],
    [3, 5, 'other'],
    [3, 10, 'prohibited'],
    [3, 13, 'prohibited'],
    [11, 0, 'hops'],
  ])('says of type %i, code %i: %s', (type, code, said) => {
    expect(decodeIcmpError(errorPacket({ type, code }))).toEqual({
      ok: true,
      value: { path: ABOUT, error: { kind: 'unreachable', code: said, from: TOLD.by } },
    });
  });

  it.each([
    [1280, 1280],
    [0, undefined],
  ])('reads a next hop that takes %s', (told, mtu) => {
    expect(decodeIcmpError(errorPacket({ type: 3, code: 4, mtu: told }))).toEqual({
      ok: true,
      value: { path: ABOUT, error: { kind: 'too-big', mtu } },
    });
  });

  it('reads a quotation of 64 bits, one with options, and a first fragment', () => {
    const least = errorPacket({ quoted: 28 });
    expect(decodeIcmpError(least)).toMatchObject({ ok: true, value: { path: ABOUT } });
    const options = mended(
      Uint8Array.of(
        ...least.subarray(0, PORTS),
        ...[1, 1, 1, 1],
        ...least.subarray(PORTS, PORTS + 8),
      ),
      (p) => {
        p[QUOTED] = 0x46;
        p[3] = p.length;
      },
    );
    expect(decodeIcmpError(options)).toMatchObject({ ok: true, value: { path: ABOUT } });
    const first = mended(least, (p) => (p[QUOTED + 6] = 0x20));
    expect(decodeIcmpError(first)).toMatchObject({ ok: true, value: { path: ABOUT } });
  });

  it('takes a quotation that routers have changed on the way', () => {
    const changed = mended(RECORDED, (p) => {
      p[QUOTED + 1] = 0x20;
      p[QUOTED + 8] = 1;
    });
    expect(decodeIcmpError(changed)).toMatchObject({ ok: true });
  });

  it.each<[string, (packet: Uint8Array) => void]>([
    ['IP protocol 17', (p) => (p[9] = 17)],
    ['a fragment', (p) => (p[6] = 0x20)],
    ['7 bytes are no ICMP message', (p) => (p[3] = 27)],
    ['ICMP type 8', (p) => (p[ICMP] = 8)],
    ['ICMP type 12', (p) => (p[ICMP] = 12)],
    ['19 bytes of the quoted packet', (p) => (p[3] = 47)],
    ['27 bytes of the quoted packet', (p) => (p[3] = 55)],
    ['28 bytes of the quoted packet', (p) => (p[QUOTED] = 0x46)],
    ['quoted IP version 6', (p) => (p[QUOTED] = 0x65)],
    ['a quoted IPv4 header of 16 bytes', (p) => (p[QUOTED] = 0x44)],
    ['quoted IP protocol 1', (p) => (p[QUOTED + 9] = 1)],
    ['a quoted fragment', (p) => (p[QUOTED + 7] = 1)],
    ['quoted UDP port 0', (p) => p.fill(0, PORTS, PORTS + 2)],
    ['quoted UDP port 0', (p) => p.fill(0, PORTS + 2, PORTS + 4)],
    ['about a packet from 10.9.0.3, told to 10.9.0.1', (p) => (p[QUOTED + 15] = 3)],
  ])('refuses: %s', (reason, spoil) => {
    expect(decodeIcmpError(mended(errorPacket({ quoted: 28 }), spoil))).toEqual({
      ok: false,
      reason,
    });
  });

  it('refuses a wrong checksum, whichever bit is wrong', () => {
    fc.assert(
      fc.property(fc.nat(RECORDED.length * 8 - 1), (bit) => {
        const spoiled = RECORDED.slice();
        spoiled[bit >> 3] = (spoiled[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(decodeIcmpError(spoiled).ok).toBe(false);
      }),
    );
  });

  it('refuses every truncation, also where headers and checksums agree with it', () => {
    for (let length = 0; length < RECORDED.length; length += 1) {
      expect(decodeIcmpError(RECORDED.subarray(0, length)).ok).toBe(false);
    }
    const least = PORTS + 8;
    for (let length = 20; length < RECORDED.length; length += 1) {
      const short = mended(RECORDED.slice(0, length), (p) => (p[3] = length));
      expect(decodeIcmpError(short).ok).toBe(length >= least);
    }
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        decodeIcmpError(bytes);
      }),
    );
    // Past the first tests, too.
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom(3, 11), (quoted, type) => {
        const packet = new Uint8Array(QUOTED + quoted.length);
        packet.set(errorPacket({ type }).subarray(0, QUOTED));
        packet.set(quoted, QUOTED);
        decodeIcmpError(mended(packet, (p) => (p[3] = p.length)));
      }),
    );
  });

  it('tells the way of any packet', () => {
    const endpoint = fc.record({
      ip: fc.nat(0xffff_ffff).map(outerIpv4FromNumber),
      port: fc.integer({ min: 1, max: 65535 }).map(port),
    });
    fc.assert(
      fc.property(endpoint, endpoint, fc.integer({ min: 28, max: 60 }), (local, remote, quoted) => {
        const path: Path = { local, remote };
        expect(decodeIcmpError(errorPacket({ path, quoted }))).toMatchObject({
          ok: true,
          value: { path },
        });
      }),
    );
  });
});

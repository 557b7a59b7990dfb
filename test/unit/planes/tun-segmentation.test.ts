import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cut, PLAIN, type VnetHeader } from './tun-device.ts';
import { leavePartial, pattern, tcpPacket, udpPacket, wrongChecksum } from './tun-packets.ts';

const NEEDS_CSUM = 1;
const TCPV4 = 1;
const UDP_L4 = 5;
const ECN = 0x80;

function tcpSuper(size: number, more: Partial<VnetHeader> = {}): VnetHeader {
  return {
    flags: NEEDS_CSUM,
    gsoType: TCPV4,
    headerLength: 40,
    gsoSize: size,
    checksumStart: 20,
    checksumOffset: 16,
    ...more,
  };
}

const udpSuper = (size: number): VnetHeader =>
  tcpSuper(size, { gsoType: UDP_L4, headerLength: 28, checksumOffset: 6 });

/** The pieces; there must be some. */
function cutWell(packet: Uint8Array, header: VnetHeader): readonly Uint8Array[] {
  const pieces = cut(packet, header);
  if (!pieces) throw new Error('refused');
  return pieces;
}

const words = (most: number) =>
  fc.nat(most).chain((count) => fc.uint8Array({ minLength: count * 4, maxLength: count * 4 }));

const segment = fc.record({
  identification: fc.nat(0xffff),
  sequence: fc.integer({ min: 0, max: 0xffff_ffff }),
  acknowledgment: fc.integer({ min: 0, max: 0xffff_ffff }),
  window: fc.nat(0xffff),
  tos: fc.nat(0xff),
  dontFragment: fc.boolean(),
  options: words(10),
  ipOptions: words(10),
  payload: fc.integer({ min: 1, max: 3000 }).map((length) => pattern(length, length)),
});

describe('a TCP super-packet', () => {
  test('becomes packets whose checksums are right, and whose payloads together are its own', () => {
    fc.assert(
      fc.property(segment, fc.integer({ min: 60, max: 1500 }), fc.nat(0xff), (of, size, flags) => {
        const whole = tcpPacket({ ...of, flags });
        const header = 40 + of.options.length + of.ipOptions.length;
        const pieces = cutWell(leavePartial(whole), tcpSuper(size, { gsoType: TCPV4 | ECN }));
        expect(pieces.map(wrongChecksum)).toEqual(pieces.map(() => undefined));
        expect(Buffer.concat(pieces.map((piece) => piece.subarray(header)))).toEqual(
          Buffer.from(of.payload),
        );
        for (const [index, piece] of pieces.entries()) {
          const last = index === pieces.length - 1;
          const kept = flags & (last ? 0xff : ~0x09) & (index === 0 ? 0xff : ~0x80);
          const expected = tcpPacket({
            ...of,
            flags: kept,
            identification: (of.identification + index) & 0xffff,
            sequence: (of.sequence + index * size) % 0x1_0000_0000,
            payload: of.payload.slice(index * size, (index + 1) * size),
          });
          expect(piece).toEqual(expected);
        }
      }),
    );
  });

  test('that is cut to one piece is that packet', () => {
    const whole = tcpPacket({ payload: pattern(100), flags: 0x18 });
    expect(cut(leavePartial(whole), tcpSuper(1400))).toEqual([whole]);
  });

  test('as long as a packet can be', () => {
    const whole = tcpPacket({ payload: pattern(65_495) });
    const pieces = cutWell(leavePartial(whole), tcpSuper(1432));
    expect(pieces).toHaveLength(46);
    expect(pieces.map(wrongChecksum)).toEqual(pieces.map(() => undefined));
  });
});

describe('a UDP super-packet', () => {
  test('becomes datagrams whose checksums are right', () => {
    fc.assert(
      fc.property(segment, fc.integer({ min: 60, max: 1500 }), (of, size) => {
        const whole = udpPacket(of.payload, of);
        const pieces = cutWell(leavePartial(whole), udpSuper(size));
        for (const [index, piece] of pieces.entries()) {
          const identification = (of.identification + index) & 0xffff;
          const payload = of.payload.slice(index * size, (index + 1) * size);
          expect(piece).toEqual(udpPacket(payload, { ...of, identification }));
        }
        expect(pieces).toHaveLength(Math.ceil(of.payload.length / size));
      }),
    );
  });
});

describe('one packet', () => {
  const partial = { ...PLAIN, flags: NEEDS_CSUM, checksumStart: 20 };

  test.each([
    { what: 'TCP', whole: tcpPacket({ payload: pattern(333) }), offset: 16 },
    { what: 'TCP without payload', whole: tcpPacket({ payload: pattern(0) }), offset: 16 },
    { what: 'UDP', whole: udpPacket(pattern(334)), offset: 6 },
    // The payload makes the sum of everything 0xffff.
    { what: 'UDP whose checksum comes out zero', whole: zeroSumUdp(), offset: 6 },
  ])('with a partial checksum gets it finished: $what', ({ whole, offset }) => {
    const header = { ...partial, checksumOffset: offset };
    expect(cut(leavePartial(whole), header)).toEqual([whole]);
  });

  test.each([
    { what: 'a TCP packet', packet: tcpPacket({ payload: pattern(10) }) },
    { what: 'a fragment', packet: udpPacket(pattern(64)).with(6, 0x20) },
    { what: 'a later fragment', packet: udpPacket(pattern(64)).with(7, 9) },
    { what: 'another protocol', packet: udpPacket(pattern(64)).with(9, 47) },
    { what: 'wrong checksums', packet: tcpPacket({ payload: pattern(10) }).with(45, 0xee) },
    { what: 'less than a header', packet: Uint8Array.of(0x45, 1, 2) },
  ])('without an order passes untouched: $what', ({ packet }) => {
    expect(cut(packet, PLAIN)).toEqual([packet]);
  });
});

function zeroSumUdp(): Uint8Array {
  const without = udpPacket(Uint8Array.of(0, 0));
  const sum = ((without[26] ?? 0) << 8) | (without[27] ?? 0);
  return udpPacket(Uint8Array.of(sum >> 8, sum & 0xff));
}

describe('what contradicts itself is refused', () => {
  const whole = leavePartial(tcpPacket({ payload: pattern(3000) }));
  const datagram = leavePartial(udpPacket(pattern(3000)));

  test.each([
    { what: 'no size', packet: whole, header: tcpSuper(0) },
    { what: 'UDP said to be TCP', packet: datagram, header: tcpSuper(1000) },
    { what: 'TCP said to be UDP', packet: whole, header: udpSuper(1000) },
    { what: 'an unknown kind', packet: whole, header: tcpSuper(1000, { gsoType: 3 }) },
    { what: 'a short IPv4 header', packet: whole.with(0, 0x44), header: tcpSuper(1000) },
    { what: 'a short TCP header', packet: whole.with(32, 0x40), header: tcpSuper(1000) },
    { what: 'no payload', packet: whole.slice(0, 40), header: tcpSuper(1000) },
    { what: 'less than its headers', packet: whole.slice(0, 30), header: tcpSuper(1000) },
    {
      what: 'a checksum beyond the end',
      packet: whole,
      header: tcpSuper(0, { gsoType: 0, checksumOffset: 3020 }),
    },
    {
      what: 'a checksum at an odd place',
      packet: whole,
      header: tcpSuper(0, { gsoType: 0, checksumOffset: 15 }),
    },
    {
      what: 'a sum from beyond the end',
      packet: whole,
      header: tcpSuper(0, { gsoType: 0, checksumStart: 4000 }),
    },
  ])('$what', ({ packet, header }) => {
    expect(cut(packet, header)).toBeUndefined();
  });

  test('any header before any bytes ends, and touches nothing outside', () => {
    const header = fc.record({
      flags: fc.nat(3),
      gsoType: fc.constantFrom(0, 1, 5, 0x81),
      headerLength: fc.nat(200),
      gsoSize: fc.nat(300),
      checksumStart: fc.nat(200),
      checksumOffset: fc.nat(200),
    });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), header, (packet, vnet) => {
        const pieces = cut(packet, vnet) ?? [];
        expect(pieces.length).toBeLessThanOrEqual(packet.length);
      }),
    );
  });
});

/* What the thread of the `tun` plane cuts and joins, of IPv6. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { InnerIp } from '../../../src/core/addr.ts';
import { finishChecksum, unfinishedChecksum } from '../../../src/adapters/planes/tun/unfinished.ts';
import { coalesce, cut, PLAIN, type DevicePacket, type VnetHeader } from './tun-device.ts';
import { FakeMemory } from './tun-memory.ts';
import {
  leavePartial,
  pattern,
  tcpPacket as tcpOf,
  udpPacket as udpOf,
  wrongChecksum,
  type TcpPacket,
} from './tun-packets.ts';

const PSH_ACK = 0x18;
const TIMESTAMPS = Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8);
/** Hop-by-hop options of eight bytes, all padding, before what `next` says. */
const options = (next: number) => Uint8Array.of(next, 0, 1, 4, 0, 0, 0, 0);

const tcpPacket = (of: TcpPacket) => tcpOf({ family: 'ipv6', ...of });
const udpPacket = (payload: Uint8Array, of: Partial<TcpPacket> = {}) =>
  udpOf(payload, { family: 'ipv6', ...of });

function superOf(size: number, more: Partial<VnetHeader> = {}): VnetHeader {
  return {
    flags: 1,
    gsoType: 4,
    headerLength: 60,
    gsoSize: size,
    checksumStart: 40,
    checksumOffset: 16,
    ...more,
  };
}

const udpSuper = (size: number): VnetHeader =>
  superOf(size, { gsoType: 5, headerLength: 48, checksumOffset: 6 });

/** The packets again, super-packets cut. */
function recut(written: readonly DevicePacket[]): readonly Uint8Array[] {
  return written.flatMap(({ packet, header }) => cut(packet, header) ?? []);
}

const segment = fc.record({
  sequence: fc.integer({ min: 0, max: 0xffff_ffff }),
  acknowledgment: fc.integer({ min: 0, max: 0xffff_ffff }),
  window: fc.nat(0xffff),
  tos: fc.nat(0xff),
  label: fc.nat(0xf_ffff),
  options: fc.constantFrom(new Uint8Array(), TIMESTAMPS, new Uint8Array(40)),
  payload: fc.integer({ min: 1, max: 3000 }).map((length) => pattern(length, length)),
});

describe('a super-packet', () => {
  test('of TCP becomes packets whose checksums are right, and that say how long they are', () => {
    fc.assert(
      fc.property(segment, fc.integer({ min: 60, max: 1500 }), fc.nat(0xff), (of, size, flags) => {
        const pieces =
          cut(leavePartial(tcpPacket({ ...of, flags })), superOf(size, { gsoType: 0x84 })) ?? [];
        expect(pieces.map(wrongChecksum)).toEqual(pieces.map(() => undefined));
        expect(pieces).toHaveLength(Math.ceil(of.payload.length / size));
        for (const [index, piece] of pieces.entries()) {
          const last = index === pieces.length - 1;
          const kept = flags & (last ? 0xff : ~0x09) & (index === 0 ? 0xff : ~0x80);
          const sequence = (of.sequence + index * size) % 0x1_0000_0000;
          const payload = of.payload.slice(index * size, (index + 1) * size);
          expect(piece).toEqual(tcpPacket({ ...of, flags: kept, sequence, payload }));
        }
      }),
    );
  });

  test('of UDP becomes datagrams whose checksums are right', () => {
    fc.assert(
      fc.property(segment, fc.integer({ min: 60, max: 1500 }), (of, size) => {
        const pieces = cut(leavePartial(udpPacket(of.payload, of)), udpSuper(size)) ?? [];
        expect(pieces).toHaveLength(Math.ceil(of.payload.length / size));
        for (const [index, piece] of pieces.entries()) {
          const payload = of.payload.slice(index * size, (index + 1) * size);
          expect(piece).toEqual(udpPacket(payload, of));
        }
      }),
    );
  });

  test('with an extension header has it in every piece', () => {
    const of = { extensions: options(6), payload: pattern(2500) };
    const pieces = cut(tcpPacket(of), superOf(1000, { headerLength: 68, checksumStart: 48 })) ?? [];
    expect(pieces).toEqual(
      [0, 1, 2].map((index) =>
        tcpPacket({
          ...of,
          sequence: 1 + index * 1000,
          payload: of.payload.slice(index * 1000, (index + 1) * 1000),
        }),
      ),
    );
  });

  test('as long as a packet can be', () => {
    const whole = tcpPacket({ payload: pattern(65_475) });
    const pieces = cut(leavePartial(whole), superOf(1412)) ?? [];
    expect(pieces).toHaveLength(47);
    expect(pieces.map(wrongChecksum)).toEqual(pieces.map(() => undefined));
  });

  const whole = leavePartial(tcpPacket({ payload: pattern(3000) }));
  test.each([
    { what: 'no size', packet: whole, header: superOf(0) },
    { what: 'said to be of IPv4', packet: whole, header: superOf(1000, { gsoType: 1 }) },
    { what: 'UDP said to be TCP', packet: whole, header: superOf(1000, { gsoType: 3 }) },
    {
      what: 'a transport header within the IP header',
      packet: whole,
      header: superOf(1000, { checksumStart: 36 }),
    },
    {
      what: 'one at an odd place',
      packet: whole,
      header: superOf(1000, { checksumStart: 41 }),
    },
    {
      what: 'headers that are too long',
      packet: whole,
      header: superOf(1000, { checksumStart: 200 }),
    },
    { what: 'a short TCP header', packet: whole.with(52, 0x40), header: superOf(1000) },
    { what: 'no payload', packet: whole.slice(0, 60), header: superOf(1000) },
    { what: 'less than its headers', packet: whole.slice(0, 50), header: superOf(1000) },
    {
      what: 'IPv4 said to be IPv6',
      packet: leavePartial(tcpOf({ payload: pattern(3000) })),
      header: superOf(1000, { checksumStart: 20 }),
    },
  ])('that contradicts itself is refused: $what', ({ packet, header }) => {
    expect(cut(packet, header)).toBeUndefined();
  });

  test('any header before any bytes ends, and touches nothing outside', () => {
    const header = fc.record({
      flags: fc.nat(3),
      gsoType: fc.constantFrom(0, 1, 4, 5, 0x84),
      headerLength: fc.nat(200),
      gsoSize: fc.nat(300),
      checksumStart: fc.nat(200),
      checksumOffset: fc.nat(200),
    });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), header, (packet, vnet) => {
        const pieces = cut(packet.with(0, 0x60), vnet) ?? [];
        expect(pieces.length).toBeLessThanOrEqual(packet.length);
      }),
    );
  });
});

describe('a partial checksum', () => {
  const partial = { ...PLAIN, flags: 1, checksumStart: 40 };

  test.each([
    { what: 'TCP', whole: tcpPacket({ payload: pattern(333) }), offset: 16 },
    { what: 'UDP', whole: udpPacket(pattern(334)), offset: 6 },
    { what: 'UDP that comes out zero', whole: zeroSumUdp(), offset: 6 },
  ])('gets finished: $what', ({ whole, offset }) => {
    expect(cut(leavePartial(whole), { ...partial, checksumOffset: offset })).toEqual([whole]);
  });

  /** A packet that came through the tunnel, with its checksum finished; undefined where there was none to finish. */
  function finished(packet: Uint8Array, at = 3): Uint8Array | undefined {
    const packets = new FakeMemory().allocate(Math.ceil((packet.length + at) / 8) * 8);
    packets.bytes.set(packet, at);
    const offset = unfinishedChecksum(packets, at, packet.length);
    if (offset === 0) return undefined;
    finishChecksum(packets, at, packet.length, offset);
    return packets.bytes.slice(at, at + packet.length);
  }

  test('is known where it came through the tunnel, and only there', () => {
    const [tcp, udp] = [tcpPacket({ payload: pattern(301) }), udpPacket(pattern(200))];
    expect(finished(leavePartial(tcp))).toEqual(tcp);
    expect(finished(leavePartial(udp))).toEqual(udp);
    expect(finished(tcp)).toBeUndefined();
    expect(finished(leavePartial(tcp).slice(0, -1))).toBeUndefined();
    expect(finished(leavePartial(tcp).with(6, 44))).toBeUndefined();
    expect(coalesce([leavePartial(tcp)], 1)).toEqual([
      { header: { ...partial, checksumOffset: 16 }, packet: leavePartial(tcp) },
    ]);
  });

  test('of a super-packet that came through the tunnel is described as one of IPv6', () => {
    const whole = leavePartial(tcpPacket({ flags: 0x90, payload: pattern(10_000) }));
    expect(coalesce([whole], 0, 1452)).toEqual([
      { header: superOf(1452 - 60, { gsoType: 0x84 }), packet: whole },
    ]);
  });
});

function zeroSumUdp(): Uint8Array {
  const without = udpPacket(Uint8Array.of(0, 0));
  const sum = ((without[46] ?? 0) << 8) | (without[47] ?? 0);
  return udpPacket(Uint8Array.of(sum >> 8, sum & 0xff));
}

/** Segments of one flow, one after another: `lengths` of payload each, the rest by `change`. */
function series(
  lengths: readonly number[],
  change: (index: number) => Partial<TcpPacket> = () => ({}),
): readonly Uint8Array[] {
  let sequence = 0xffff_ff00;
  return lengths.map((length, index) => {
    const packet = tcpPacket({
      sequence,
      options: TIMESTAMPS,
      label: 0x12345,
      payload: pattern(length, index),
      ...change(index),
    });
    sequence = (sequence + length) % 0x1_0000_0000;
    return packet;
  });
}

describe('segments that follow each other', () => {
  test('become a super-packet with a partial checksum', () => {
    const arriving = series([1380, 1380, 1380, 300], (index) => ({
      flags: index === 3 ? PSH_ACK : 0x10,
    }));
    const payload = Uint8Array.from(Buffer.concat(arriving.map((packet) => packet.slice(72))));
    const of = { options: TIMESTAMPS, sequence: 0xffff_ff00, label: 0x12345, flags: PSH_ACK };
    expect(coalesce(arriving)).toEqual([
      {
        header: superOf(1380, { headerLength: 72 }),
        packet: leavePartial(tcpPacket({ ...of, payload })),
      },
    ]);
  });

  test('cut, then put together, are the same bytes, whatever their size and place', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1500 }),
        fc.integer({ min: 2, max: 5000 }),
        fc.constantFrom(0x10, PSH_ACK),
        fc.nat(9),
        (size, length, flags, gap) => {
          fc.pre(length > size && length <= size * 128);
          const packet = leavePartial(tcpPacket({ flags, payload: pattern(length) }));
          const header = superOf(size);
          expect(coalesce(cut(packet, header) ?? [], gap)).toEqual([{ header, packet }]);
        },
      ),
    );
  });

  test('are a super-packet for every flow, though flows and families are mixed', () => {
    const flows = [5001, 5002, 5003].map((from) =>
      series([1000, 1000, 1000], () => ({
        ports: [from, 40_000],
        ...(from === 5002 ? { family: 'ipv4', identification: 0 } : {}),
      })),
    );
    const mixed = [0, 1, 2].flatMap((index) => flows.map((flow) => flow[index] ?? pattern(0)));
    const written = coalesce(mixed);
    expect(written.map(({ packet }) => packet.length)).toEqual([3072, 3052, 3072]);
    // Identifications of IPv4 count up where the segments are cut again.
    const again = recut(written);
    expect([...again.slice(0, 3), ...again.slice(6)]).toEqual([flows[0], flows[2]].flat());
  });

  test('make no packet that is too long', () => {
    const written = coalesce(series(Array.from({ length: 50 }, () => 1420)));
    expect(written.map(({ packet }) => packet.length)).toEqual([72 + 46 * 1420, 72 + 4 * 1420]);
  });

  test.each<{ readonly what: string; readonly second: Partial<TcpPacket> }>([
    { what: 'another traffic class', second: { tos: 3 } },
    { what: 'another flow label', second: { label: 0x12346 } },
    { what: 'another hop limit', second: { ttl: 63 } },
    { what: 'another source', second: { source: 'fd28::9' as InnerIp } },
    { what: 'another destination', second: { destination: 'fd28:0:0:1::' as InnerIp } },
    { what: 'another port', second: { ports: [5002, 40_000] } },
    { what: 'a repeated sequence number', second: { sequence: 0xffff_ff00 } },
    { what: 'another window', second: { window: 501 } },
    { what: 'FIN', second: { flags: 0x11 } },
    { what: 'no payload', second: { payload: pattern(0) } },
    { what: 'more payload than the first', second: { payload: pattern(101) } },
    { what: 'an extension header', second: { extensions: options(6) } },
    { what: 'the other family', second: { family: 'ipv4' } },
  ])('do not join where the second has $what', ({ second }) => {
    const arriving = series([100, 100], (index) => (index === 1 ? second : {}));
    expect(coalesce(arriving)).toEqual(arriving.map((packet) => ({ header: PLAIN, packet })));
  });

  test('do not join where one is longer or shorter than it says, or a fragment', () => {
    const [first = pattern(0), second = pattern(0)] = series([100, 100]);
    for (const packet of [
      Uint8Array.of(...second, 0),
      second.slice(0, 59),
      second.with(6, 44),
      udpPacket(pattern(100)),
    ]) {
      expect(coalesce([first, packet])).toEqual([
        { header: PLAIN, packet: first },
        { header: PLAIN, packet },
      ]);
    }
  });

  test('a wrong checksum is never blessed, whatever bit is wrong', () => {
    const arriving = series([200, 200, 200]);
    // Class, label and hop limit have no checksum: those of one packet make it another flow.
    fc.assert(
      fc.property(fc.nat(2), fc.nat(271), fc.nat(7), (which, at, bit) => {
        const sound = arriving[which] ?? pattern(0);
        const spoilt = sound.with(at, (sound[at] ?? 0) ^ (1 << bit));
        const written = coalesce(arriving.with(which, spoilt));
        expect(written.filter(({ header }) => header.flags === 0)).toContainEqual({
          header: PLAIN,
          packet: spoilt,
        });
        expect(recut(written)).toEqual(arriving.with(which, spoilt));
      }),
      { numRuns: 500 },
    );
  });
});

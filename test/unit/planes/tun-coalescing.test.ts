import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_SUPER_SEGMENTS } from '../../../src/adapters/planes/tun/limits.ts';
import type { InnerIp } from '../../../src/core/addr.ts';
import { coalesce, cut, PLAIN, type DevicePacket } from './tun-device.ts';
import { leavePartial, pattern, tcpPacket, udpPacket, type TcpPacket } from './tun-packets.ts';

const PSH_ACK = 0x18;
const TIMESTAMPS = Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8);

/** Segments of one flow, one after another: `lengths` of payload each, the rest by `change`. */
function series(
  lengths: readonly number[],
  change: (index: number) => Partial<TcpPacket> = () => ({}),
): readonly Uint8Array[] {
  let sequence = 0xffff_ff00;
  return lengths.map((length, index) => {
    const packet = tcpPacket({
      sequence,
      identification: (0xfffe + index) & 0xffff,
      options: TIMESTAMPS,
      payload: pattern(length, index),
      ...change(index),
    });
    sequence = (sequence + length) % 0x1_0000_0000;
    return packet;
  });
}

/** The packets again, super-packets cut. */
function recut(written: readonly DevicePacket[]): readonly Uint8Array[] {
  return written.flatMap(({ packet, header }) => cut(packet, header) ?? []);
}

const sizes = (written: readonly DevicePacket[]) => written.map(({ packet }) => packet.length);

describe('segments that follow each other', () => {
  test('become a super-packet with a partial checksum', () => {
    const options = { options: TIMESTAMPS, sequence: 0xffff_ff00, identification: 0xfffe };
    const arriving = series([1400, 1400, 1400, 300], (index) => ({
      flags: index === 3 ? PSH_ACK : 0x10,
    }));
    const payload = Uint8Array.from(Buffer.concat(arriving.map((packet) => packet.slice(52))));
    expect(coalesce(arriving)).toEqual([
      {
        header: {
          flags: 1,
          gsoType: 1,
          headerLength: 52,
          gsoSize: 1400,
          checksumStart: 20,
          checksumOffset: 16,
        },
        packet: leavePartial(tcpPacket({ ...options, flags: PSH_ACK, payload })),
      },
    ]);
  });

  test('cut, then put together, are the same bytes, whatever their size and place', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1500 }),
        fc.integer({ min: 2, max: 5000 }),
        fc.constantFrom(0x10, PSH_ACK),
        fc.boolean(),
        fc.nat(9),
        (size, length, flags, dontFragment, gap) => {
          fc.pre(length > size && length <= size * MAX_SUPER_SEGMENTS);
          const of = { flags, dontFragment, options: TIMESTAMPS, payload: pattern(length) };
          const packet = leavePartial(tcpPacket(of));
          const header = {
            flags: 1,
            gsoType: 1,
            headerLength: 52,
            gsoSize: size,
            checksumStart: 20,
            checksumOffset: 16,
          };
          expect(coalesce(cut(packet, header) ?? [], gap)).toEqual([{ header, packet }]);
        },
      ),
    );
  });

  test('are a super-packet for every flow, though flows are mixed', () => {
    const flows = [5001, 5002, 5003].map((from) =>
      series([1000, 1000, 1000], () => ({ ports: [from, 40_000] })),
    );
    const mixed = [0, 1, 2].flatMap((index) => flows.map((flow) => flow[index] ?? pattern(0)));
    const written = coalesce(mixed);
    expect(sizes(written)).toEqual([3052, 3052, 3052]);
    expect(recut(written)).toEqual(flows.flat());
  });

  test('make no packet that is too long, and none of too many segments', () => {
    expect(sizes(coalesce(series(Array.from({ length: 50 }, () => 1420))))).toEqual([
      52 + 46 * 1420,
      52 + 4 * 1420,
    ]);
    expect(sizes(coalesce(series(Array.from({ length: 130 }, () => 1))))).toEqual([
      52 + MAX_SUPER_SEGMENTS,
      52 + 2,
    ]);
  });

  test('with DF join whatever their identifications', () => {
    const written = coalesce(series([9, 9, 9], () => ({ identification: 0 })));
    expect(sizes(written)).toEqual([52 + 27]);
  });
});

describe('what does not join', () => {
  /** The second of three differs; it and the third reach the device, as they came, apart from the first. */
  test.each<{ readonly what: string; readonly second: Partial<TcpPacket> }>([
    { what: 'another type of service', second: { tos: 3 } },
    { what: 'another TTL', second: { ttl: 63 } },
    { what: 'another DF', second: { dontFragment: false } },
    { what: 'IPv4 options', second: { ipOptions: new Uint8Array(4) } },
    { what: 'another source', second: { source: '172.28.0.9' as InnerIp } },
    { what: 'another destination', second: { destination: '172.28.0.9' as InnerIp } },
    { what: 'another port', second: { ports: [5002, 40_000] } },
    { what: 'a sequence number that is too high', second: { sequence: 0x100 } },
    { what: 'a repeated sequence number', second: { sequence: 0xffff_ff00 } },
    { what: 'another acknowledgment', second: { acknowledgment: 8 } },
    { what: 'another window', second: { window: 501 } },
    { what: 'other options', second: { options: TIMESTAMPS.with(7, 10) } },
    { what: 'fewer options', second: { options: TIMESTAMPS.slice(0, 8) } },
    { what: 'SYN', second: { flags: 0x12 } },
    { what: 'FIN', second: { flags: 0x11 } },
    { what: 'RST', second: { flags: 0x14 } },
    { what: 'URG', second: { flags: 0x30 } },
    { what: 'ECE', second: { flags: 0x50 } },
    { what: 'CWR', second: { flags: 0x90 } },
    { what: 'no ACK', second: { flags: 0x00 } },
    { what: 'no payload', second: { payload: pattern(0) } },
    { what: 'more payload than the first', second: { payload: pattern(101) } },
  ])('$what', ({ second }) => {
    const arriving = series([100, 100], (index) => (index === 1 ? second : {}));
    expect(coalesce(arriving)).toEqual(arriving.map((packet) => ({ header: PLAIN, packet })));
  });

  test('identifications that do not count up, without DF', () => {
    const arriving = series([100, 100], () => ({ identification: 5, dontFragment: false }));
    expect(sizes(coalesce(arriving))).toEqual(arriving.map(({ length }) => length));
  });

  test.each([
    { what: 'after PSH', lengths: [100, 100], flags: [PSH_ACK, 0x10] },
    { what: 'after a shorter one', lengths: [100, 50, 50], flags: [0x10, 0x10, 0x10], first: 202 },
  ])('$what', ({ lengths, flags, first = 152 }) => {
    const arriving = series(lengths, (index) => ({ flags: flags[index] ?? 0 }));
    const written = coalesce(arriving);
    expect(written).toHaveLength(2);
    expect(written[0]?.packet).toHaveLength(first);
    expect(recut(written)).toEqual(arriving);
  });

  test('what is no TCP, a fragment, or longer than it says', () => {
    const tcp = series([100, 100]);
    const [first = pattern(0), second = pattern(0)] = tcp;
    for (const packet of [
      udpPacket(pattern(100)),
      second.with(6, 0x60),
      second.with(7, 1),
      Uint8Array.of(...second, 0),
      second.slice(0, 39),
      Uint8Array.of(),
    ]) {
      expect(coalesce([first, packet])).toEqual([
        { header: PLAIN, packet: first },
        { header: PLAIN, packet },
      ]);
    }
  });

  test('a FIN between ends what was put together: the order within a flow stays', () => {
    const arriving = series([100, 100, 100, 100], (index) => (index === 2 ? { flags: 0x11 } : {}));
    const written = coalesce(arriving);
    expect(sizes(written)).toEqual([252, 152, 152]);
    expect(recut(written)).toEqual(arriving);
  });
});

describe('a wrong checksum', () => {
  const arriving = series([200, 200, 200, 200], () => ({ dontFragment: false }));

  test('is never blessed: whatever bit is wrong, that packet reaches the kernel as it came', () => {
    fc.assert(
      fc.property(fc.nat(3), fc.nat(251), fc.nat(7), (which, at, bit) => {
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

  test('of two packets that make up for each other is seen in both', () => {
    const [first = pattern(0), second = pattern(0)] = arriving;
    const spoilt = [first.with(60, (first[60] ?? 0) ^ 1), second.with(60, (second[60] ?? 0) ^ 1)];
    expect(coalesce(spoilt).map(({ header }) => header)).toEqual([PLAIN, PLAIN]);
  });
});

test('any packets, in any order: every flow comes out as it went in', () => {
  const flow = fc.integer({ min: 5001, max: 5003 });
  const step = fc.record({
    flow,
    length: fc.constantFrom(0, 50, 100, 100, 100, 100),
    flags: fc.constantFrom(0x10, 0x10, 0x10, 0x10, PSH_ACK, 0x11, 0x12),
    skip: fc.constantFrom(0, 0, 0, 0, 1),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const next = new Map<number, { sequence: number; identification: number }>();
      const arriving = steps.map(({ flow: from, length, flags, skip }) => {
        const at = next.get(from) ?? { sequence: 1, identification: 1 };
        const sequence = at.sequence + skip;
        next.set(from, { sequence: sequence + length, identification: at.identification + 1 });
        const payload = pattern(length, sequence);
        return tcpPacket({ ports: [from, 80], ...at, sequence, flags, payload });
      });
      const out = recut(coalesce(arriving));
      const of = (packets: readonly Uint8Array[], from: number) =>
        packets.filter((packet) => (packet[20] ?? 0) * 256 + (packet[21] ?? 0) === from);
      for (const from of [5001, 5002, 5003]) expect(of(out, from)).toEqual(of(arriving, from));
      expect(out).toHaveLength(arriving.length);
    }),
  );
});

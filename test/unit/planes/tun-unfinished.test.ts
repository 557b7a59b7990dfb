import { describe, expect, test } from 'vitest';
import { finishChecksum, unfinishedChecksum } from '../../../src/adapters/planes/tun/unfinished.ts';
import { coalesce, cut, PLAIN } from './tun-device.ts';
import { FakeMemory } from './tun-memory.ts';
import {
  leavePartial,
  pattern,
  pseudoHeader,
  slowSum,
  tcpPacket,
  udpPacket,
  wrongChecksum,
} from './tun-packets.ts';

const MTU = 1472;
const CHECKSUM_ONLY = { ...PLAIN, flags: 1, checksumStart: 20 };

/** A TCP segment whose finished checksum is the sum of its pseudo header, as one in 65536 has it. */
function ambiguous(): Uint8Array {
  const plain = tcpPacket({ payload: Uint8Array.of(0, 0, 1, 2, 3) });
  const pseudo = slowSum(pseudoHeader(plain, plain.length - 20));
  const checksum = (plain[36] ?? 0) * 256 + (plain[37] ?? 0);
  // What the first word of the payload has to add: the checksum is the inverted sum.
  const word = slowSum(
    Uint8Array.of(checksum >> 8, checksum),
    Uint8Array.of(~pseudo >> 8, ~pseudo),
  );
  return tcpPacket({ payload: Uint8Array.of(word >> 8, word, 1, 2, 3) });
}

/** A packet with its checksum finished; undefined where there was nothing to finish. */
function finished(packet: Uint8Array, at = 3): Uint8Array | undefined {
  const packets = new FakeMemory().allocate(Math.ceil((packet.length + at) / 8) * 8);
  packets.bytes.set(packet, at);
  const offset = unfinishedChecksum(packets, at, packet.length);
  if (offset === 0) return undefined;
  finishChecksum(packets, at, packet.length, offset);
  return packets.bytes.slice(at, at + packet.length);
}

describe('an unfinished checksum', () => {
  test.each([
    { what: 'TCP', packet: tcpPacket({ payload: pattern(301) }) },
    {
      what: 'TCP with IPv4 options',
      packet: tcpPacket({ ipOptions: new Uint8Array(8), payload: pattern(7) }),
    },
    { what: 'UDP', packet: udpPacket(pattern(200)) },
  ])('of $what is finished', ({ packet }) => {
    expect(finished(leavePartial(packet))).toEqual(packet);
  });

  test.each([
    { what: 'a finished one', packet: tcpPacket({ payload: pattern(301) }) },
    { what: 'none at all', packet: udpPacket(pattern(9)).fill(0, 26, 28) },
    {
      what: 'that of a fragment',
      packet: leavePartial(tcpPacket({ payload: pattern(9) })).fill(0x20, 6, 7),
    },
    {
      what: 'that of a protocol without',
      packet: leavePartial(udpPacket(pattern(9))).fill(1, 9, 10),
    },
    { what: 'one that is cut off', packet: leavePartial(udpPacket(pattern(9))).slice(0, 27) },
  ])('is not $what', ({ packet }) => {
    expect(finished(packet)).toBeUndefined();
  });

  test('is what a finished one looks like now and then: finishing leaves that as it is', () => {
    const packet = ambiguous();
    expect(wrongChecksum(packet)).toBeUndefined();
    expect(finished(packet)).toEqual(packet);
    expect(coalesce([packet])).toEqual([
      { header: { ...CHECKSUM_ONLY, checksumOffset: 16 }, packet },
    ]);
  });

  test('is left to what is behind the device', () => {
    const tcp = leavePartial(tcpPacket({ flags: 0x12, payload: pattern(0) }));
    const udp = leavePartial(udpPacket(pattern(5)));
    expect(coalesce([tcp, udp], 1)).toEqual([
      { header: { ...CHECKSUM_ONLY, checksumOffset: 16 }, packet: tcp },
      { header: { ...CHECKSUM_ONLY, checksumOffset: 6 }, packet: udp },
    ]);
  });

  test('keeps no segment from joining', () => {
    const segments = [0, 1, 2].map((index) =>
      tcpPacket({ sequence: 1 + index * 100, payload: pattern(100, index) }),
    );
    const written = coalesce(segments.map(leavePartial));
    expect(written).toHaveLength(1);
    expect(written.flatMap(({ packet, header }) => cut(packet, header) ?? [])).toEqual(
      segments.map((packet, index) =>
        packet.with(5, 0x34 + index).with(11, (packet[11] ?? 0) - index),
      ),
    );
  });
});

describe('a super-packet', () => {
  const whole = leavePartial(tcpPacket({ flags: 0x90, payload: pattern(10_000) }));

  test('is told from a packet by the MTU, and described as one', () => {
    expect(coalesce([whole], 0, MTU)).toEqual([
      {
        header: {
          flags: 1,
          gsoType: 0x81,
          headerLength: 40,
          gsoSize: MTU - 40,
          checksumStart: 20,
          checksumOffset: 16,
        },
        packet: whole,
      },
    ]);
  });

  test('joins nothing', () => {
    const next = leavePartial(tcpPacket({ sequence: 10_001, payload: pattern(100) }));
    expect(coalesce([whole, next], 0, MTU)).toHaveLength(2);
  });
});

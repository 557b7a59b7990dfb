import { beforeEach, describe, expect, test } from 'vitest';
import { concatBytes, getU16be, getU32be } from '../../../src/core/bytes.ts';
import { decodeUdp } from '../../../src/core/wire/udp.ts';
import { overheadOf } from '../../../src/core/wire/overhead.ts';
import {
  ETHERNET,
  filler,
  innerPacket,
  LOCAL_PORT,
  outerFrame,
  REMOTE_PORT,
  tcpPacket,
  udpHeader,
} from '../bpf-packets.ts';
import {
  ETH_P_IPV6,
  icmp6Packet,
  INNER_LOCAL6,
  INNER_REMOTE6,
  innerEnds,
  innerPacket6,
  innerPacketOf,
  outerEnds,
  outerFrame6,
  outerFrameOf,
  tcpPacket6,
  transportChecksum6,
  udpPacket6,
} from '../bpf-packets6.ts';
import { COMBINATIONS } from '../ends.ts';
import {
  arrive,
  CONFIG,
  expectTaken,
  leave,
  loaded,
  PEER,
  synOptions,
  TCP_ACK,
  TCP_SYN,
} from './shared.ts';
import { CONFIG6, admitOver } from './shared6.ts';

export function describeFamilies(): void {
  describe.each(COMBINATIONS)('$outside outside, $inside inside', ({ outside, inside }) => {
    const overhead = overheadOf(outside);
    const { peer, own } = innerEnds(inside);

    beforeEach(() => {
      admitOver(outside);
    });

    test('a packet of the peer loses its outer headers, and is counted', () => {
      const packet = innerPacketOf(inside);
      const { verdict, packet: arrived, counted } = arrive(outerFrameOf(outside, packet));
      expect([verdict, counted]).toEqual(['redirect', []]);
      expect(arrived.subarray(0, 6)).toEqual(CONFIG.nearMac);
      expect(getU16be(arrived, 12)).toBe(inside === 'ipv4' ? 0x0800 : ETH_P_IPV6);
      expect(arrived.subarray(ETHERNET)).toEqual(packet);
      const { rxPackets, rxBytes } = loaded().entries.counters(3);
      expect({ rxPackets, rxBytes }).toEqual({ rxPackets: 1n, rxBytes: BigInt(packet.length) });
    });

    test('the smallest packet too', () => {
      const none = new Uint8Array(0);
      const packet = inside === 'ipv4' ? innerPacket({}, none) : innerPacket6({}, none);
      const { verdict, packet: arrived } = arrive(outerFrameOf(outside, packet));
      expect(verdict).toBe('redirect');
      expect(arrived.subarray(ETHERNET)).toEqual(packet);
    });

    test('a packet gets the outer headers, and comes back as it was', () => {
      const ends = { source: own, destination: peer };
      const packet =
        inside === 'ipv4'
          ? innerPacket({ ...ends, tos: 0xba })
          : innerPacket6({ ...ends, trafficClass: 0xba });
      const { verdict, outer } = leave(packet, inside === 'ipv4' ? 0x0800 : ETH_P_IPV6);
      expect(verdict).toBe('redirect');
      const { localIp, remoteIp } = outerEnds(outside);
      expect(outer.subarray(overhead)).toEqual(packet);
      expect(decodeUdp(outer, { zeroChecksum: true })).toMatchObject({
        value: {
          source: { ip: localIp, port: LOCAL_PORT },
          destination: { ip: remoteIp, port: REMOTE_PORT },
          ttl: 64,
        },
      });
      const tos = outside === 'ipv4' ? (outer[1] ?? 0) : getU32be(outer, 0) >> 20;
      expect(tos & 0xff).toBe(2);
      expect(loaded().entries.counters(3)).toMatchObject({
        txPackets: 1n,
        txBytes: BigInt(packet.length),
      });
    });

    const sizes = [0, 1, 127, 128, 129, 1200];
    const toPeer6 = { source: INNER_LOCAL6, destination: INNER_REMOTE6 };
    const zero = (size: number): Uint8Array =>
      innerPacket6(toPeer6, concatBytes([udpHeader({}, filler(size)), filler(size)]));
    const fragment = (size: number): Uint8Array =>
      innerPacket6({ ...toPeer6, nextHeader: 44 }, filler(size + 8));
    const of6 = [
      ['TCP', (size: number) => tcpPacket6(toPeer6, TCP_ACK, new Uint8Array(0), filler(size))],
      ['UDP', (size: number) => udpPacket6(toPeer6, filler(size))],
      ['UDP without a checksum', zero],
      ['ICMPv6', (size: number) => icmp6Packet(toPeer6, 128, filler(size + 4))],
      ['fragments', fragment],
    ] as const;
    const of4 = [
      [
        'TCP',
        (size: number) =>
          tcpPacket({ source: own, destination: peer, data: filler(size) }, TCP_ACK),
      ],
      [
        'ICMP',
        (size: number) =>
          innerPacket({ source: own, destination: peer, protocol: 1 }, filler(size)),
      ],
    ] as const;
    const makers: readonly (readonly [string, (size: number) => Uint8Array])[] =
      inside === 'ipv4' ? of4 : of6;
    test.each(makers)('outer checksums are right around %s', (_, make) => {
      loaded().configure({ ...CONFIG6, udpChecksum: true, udpChecksum6: true });
      for (const size of sizes) {
        const { verdict, outer } = leave(make(size), inside === 'ipv4' ? 0x0800 : ETH_P_IPV6);
        expect(verdict).toBe('redirect');
        expect(getU16be(outer, overhead - 2)).not.toBe(0);
        expect(decodeUdp(outer)).toMatchObject({ ok: true });
      }
    });

    test('what is larger than the path takes does not leave', () => {
      const header = inside === 'ipv4' ? 20 : 40;
      const sized = (size: number): Uint8Array => {
        const ends = { source: own, destination: peer };
        const payload = filler(size - header);
        return inside === 'ipv4' ? innerPacket(ends, payload) : innerPacket6(ends, payload);
      };
      const type = inside === 'ipv4' ? 0x0800 : ETH_P_IPV6;
      expect(leave(sized(1400), type).verdict).toBe('redirect');
      expect(leave(sized(1401), type)).toMatchObject({ verdict: 'shot', counted: ['too-big'] });
    });

    test('the MSS of a SYN is lowered, both ways', () => {
      const limit = 1400 - (inside === 'ipv4' ? 40 : 60);
      const syn = (mss: number, ends: { source?: typeof own; destination?: typeof own } = {}) =>
        inside === 'ipv4'
          ? tcpPacket(ends, TCP_SYN, synOptions(mss, 1))
          : tcpPacket6(ends, TCP_SYN, synOptions(mss, 1));
      const arrived = arrive(outerFrameOf(outside, syn(1460)));
      expect(arrived.packet.subarray(ETHERNET)).toEqual(syn(limit));
      const out = { source: own, destination: peer };
      const left = leave(syn(1460, out), inside === 'ipv4' ? 0x0800 : ETH_P_IPV6);
      expect(left.outer.subarray(overhead)).toEqual(syn(limit, out));
      if (inside === 'ipv6') {
        const segment = left.outer.subarray(overhead + 40);
        expect(transportChecksum6({ ...out, nextHeader: 6 }, segment)).toBe(0);
      }
    });

    // RFC 6040, figure 4: inner mark down, outer mark across (Not-ECT, ECT(1), ECT(0), CE).
    test.each([
      [0, [0, 0, 0, undefined]],
      [1, [1, 1, 1, 3]],
      [2, [2, 1, 2, 3]],
      [3, [3, 3, 3, 3]],
    ] as const)('an inner packet of mark %i', (mark, results) => {
      const sent = (inner: number): Uint8Array =>
        inside === 'ipv4'
          ? innerPacket({ tos: 0xb8 | inner })
          : innerPacket6({ trafficClass: 0xb8 | inner, flowLabel: 0xabcde });
      for (const [outer, result] of results.entries()) {
        const bytes =
          outside === 'ipv4'
            ? outerFrame(sent(mark), { tos: outer })
            : outerFrame6(sent(mark), { trafficClass: outer, flowLabel: 0x12345 });
        if (result === undefined) expect(arrive(bytes).counted).toEqual(['congestion']);
        else expectTaken(bytes, sent(result));
      }
    });

    test('who is evicted is a stranger, who is re-pointed to the other family sends from there alone', () => {
      const other = outside === 'ipv4' ? 'ipv6' : 'ipv4';
      const packet = innerPacketOf(inside);
      for (const family of [other, outside, other] as const) {
        loaded().admit(3, { ...PEER, ...outerEnds(family) });
        const former = family === 'ipv4' ? 'ipv6' : 'ipv4';
        expect(arrive(outerFrameOf(former, packet)).counted).toEqual(['passed-up']);
        expect(arrive(outerFrameOf(family, packet)).verdict).toBe('redirect');
        expect([...loaded().entries.paths(LOCAL_PORT)]).toMatchObject([
          { index: 3, path: { remote: { ip: outerEnds(family).remoteIp } } },
        ]);
        expect(loaded().entries.peer(3)).toMatchObject(outerEnds(family));
      }
      loaded().evict(3);
      expect(arrive(outerFrameOf(other, packet)).counted).toEqual(['passed-up']);
      expect([...loaded().entries.paths(LOCAL_PORT)]).toEqual([]);
    });
  });
}

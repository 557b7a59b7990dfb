import { beforeEach, expect, test } from 'vitest';
import { concatBytes, getU16be } from '../../../src/core/bytes.ts';
import { internetChecksum } from '../../../src/core/wire/checksum.ts';
import { decodeUdp } from '../../../src/core/wire/udp.ts';
import { inner, ip } from '../addresses.ts';
import {
  filler,
  INNER_LOCAL,
  INNER_REMOTE,
  innerPacket,
  ipPacket,
  LOCAL,
  LOCAL_PORT,
  REMOTE,
  REMOTE_PORT,
  tcpPacket,
  transportChecksum,
  udpHeader,
  udpPacket,
} from '../bpf-packets.ts';
import { CONFIG, PEER, TCP_SYN, TCP_ACK, loaded, leave, synOptions } from './shared.ts';

export function describeEncap(): void {
  const packet = innerPacket({ source: INNER_LOCAL, destination: INNER_REMOTE, tos: 0xba });
  const toPeer = { source: INNER_LOCAL, destination: INNER_REMOTE };

  beforeEach(() => {
    loaded().configure({ ...CONFIG, defaultPeer: 3 });
  });

  test('a packet gets the outer headers', () => {
    const { verdict, outer } = leave(packet);
    expect(verdict).toBe('redirect');
    const header = { protocol: 17, ttl: 64, tos: 2, source: LOCAL, destination: REMOTE } as const;
    const udp = udpHeader({ sourcePort: LOCAL_PORT, destinationPort: REMOTE_PORT }, packet);
    expect(outer).toEqual(ipPacket(header, concatBytes([udp, packet])));
    expect(loaded().entries.counters(3)).toMatchObject({
      txPackets: 1n,
      txBytes: BigInt(packet.length),
    });
  });

  test('the TTL is that of the config, ECN is the inner one, and there is no DSCP', () => {
    loaded().configure({ ...CONFIG, defaultPeer: 3, ttl: 7 });
    const { outer } = leave(packet);
    expect([outer[1], outer[8]]).toEqual([2, 7]);
    expect(internetChecksum(outer.subarray(0, 20))).toBe(0);
  });

  test('hosts come before prefixes, and the longest of these before the default', () => {
    const peers = [1, 2, 4].map((index) => [index, { ...PEER, remotePort: index }] as const);
    loaded().admitMany(peers);
    loaded().setHosts([[inner('10.0.0.1'), 1]]);
    loaded().setPrefix({ ip: inner('10.0.0.0'), length: 8 }, 2);
    loaded().setPrefix({ ip: inner('10.0.0.0'), length: 24 }, 4);
    const port = (destination: string): number =>
      getU16be(leave(innerPacket({ destination: ip(destination) })).outer, 22);
    loaded().configure({ ...CONFIG, defaultPeer: 3, hasHosts: true, hasPrefixes: true });
    const destinations = ['10.0.0.1', '10.0.0.2', '10.1.0.1', '11.0.0.1'];
    expect(destinations.map((address) => port(address))).toEqual([1, 4, 2, REMOTE_PORT]);
  });

  test.each([
    ['a destination of nobody', { defaultPeer: undefined }, packet, 0x0800, 'no-peer'],
    ['a peer that is not admitted', { defaultPeer: 5 }, packet, 0x0800, 'no-peer'],
    ['IPv6', {}, packet, 0x86dd, 'not-ipv4'],
    ['a contradiction in length', {}, innerPacket({ totalLength: 59 }), 0x0800, 'not-ipv4'],
    ['another version', {}, innerPacket({ version: 5 }), 0x0800, 'not-ipv4'],
    ['one byte too much', {}, innerPacket({}, filler(1381)), 0x0800, 'too-big'],
  ] as const)('%s: refused, and counted', (_, config, bytes, type, reason) => {
    loaded().configure({ ...CONFIG, defaultPeer: 3, ...config });
    expect(leave(bytes, type)).toMatchObject({ verdict: 'shot', counted: [reason] });
  });

  test('a packet of just the MTU leaves', () => {
    expect(leave(innerPacket({}, filler(1380))).verdict).toBe('redirect');
    expect(loaded().entries.counters(3).txRefused).toBe(0n);
  });

  test('the MSS of a SYN is lowered', () => {
    const { outer } = leave(tcpPacket(toPeer, TCP_SYN, synOptions(1460, 1)));
    const segment = outer.subarray(48);
    expect(outer.subarray(28)).toEqual(tcpPacket(toPeer, TCP_SYN, synOptions(1360, 1)));
    expect(transportChecksum({ ...toPeer, protocol: 6 }, segment)).toBe(0);
  });

  const data = [0, 1, 255, 256, 257, 1200];
  test.each([
    ['TCP', data.map((size) => tcpPacket({ ...toPeer, data: filler(size) }, TCP_ACK))],
    ['a lowered SYN', [tcpPacket(toPeer, TCP_SYN, synOptions(1460, 1))]],
    ['UDP', data.map((size) => udpPacket({ ...toPeer, data: filler(size) }))],
    [
      'UDP without a checksum',
      data.map((size) =>
        innerPacket(toPeer, concatBytes([udpHeader({}, filler(size)), filler(size)])),
      ),
    ],
    ['ICMP', data.map((size) => innerPacket({ ...toPeer, protocol: 1 }, filler(size)))],
    [
      'fragments',
      data.map((size) => innerPacket({ ...toPeer, fragment: 0x2010, protocol: 6 }, filler(size))),
    ],
    [
      'options',
      data.map((size) =>
        innerPacket({ ...toPeer, options: filler(8).fill(1), protocol: 99 }, filler(size)),
      ),
    ],
  ] as const)('outer checksums are right around %s', (_, packets) => {
    loaded().configure({ ...CONFIG, defaultPeer: 3, udpChecksum: true });
    for (const bytes of packets) {
      const { verdict, outer } = leave(bytes);
      expect(verdict).toBe('redirect');
      expect(getU16be(outer, 26)).not.toBe(0);
      expect(decodeUdp(outer)).toMatchObject({ ok: true });
    }
  });
}

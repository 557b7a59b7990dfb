import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { concatBytes } from '../../../src/core/bytes.ts';
import { inner, ip } from '../addresses.ts';
import {
  ETHERNET,
  fateOf,
  filler,
  INNER_LOCAL,
  innerPacket,
  LOCAL_PORT,
  outerFrame,
  REMOTE_PORT,
  tcpPacket,
} from '../bpf-packets.ts';
import {
  CONFIG,
  PEER,
  TCP_SYN,
  TCP_ACK,
  SHORTEST,
  loaded,
  arrive,
  expectFate,
  expectTaken,
  synOptions,
} from './shared.ts';

export function describeDecap(): void {
  test('a packet of the peer loses its outer headers, and is counted', () => {
    const inner = innerPacket();
    expectTaken(outerFrame(inner), inner);
    expectTaken(
      outerFrame(tcpPacket({ data: filler(1000) }, TCP_ACK)),
      tcpPacket({ data: filler(1000) }, TCP_ACK),
    );
    const { rxPackets, rxBytes, rxRefused, lastHeard } = loaded().entries.counters(3);
    expect({ rxPackets, rxBytes, rxRefused }).toEqual({
      rxPackets: 2n,
      rxBytes: BigInt(inner.length + 1040),
      rxRefused: 0n,
    });
    const seconds = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    expect(Math.abs(Number(lastHeard) / 1e9 - seconds)).toBeLessThan(60);
  });

  test.each([
    ['of another version', 0x0800, { version: 6 }],
    ['a first fragment', 0x0800, { fragment: 0x2000 }],
    ['a later fragment', 0x0800, { fragment: 0x0010 }],
    ['with IP options', 0x0800, { options: new Uint8Array(4).fill(1) }],
    ['of another protocol', 0x0800, { protocol: 6 }],
    ['to another port', 0x0800, { destinationPort: 10_001 }],
    ['from another port of the peer', 0x0800, { sourcePort: REMOTE_PORT + 1 }],
    ['from another address', 0x0800, { source: ip('198.51.100.8') }],
    ['to another address', 0x0800, { destination: ip('192.0.2.2') }],
    ['with a UDP length below its header', 0x0800, { udpLength: 7 }],
    ['with a UDP length beyond the packet', 0x0800, { udpLength: 69 }],
    ['with a UDP length short of the packet', 0x0800, { udpLength: 67 }],
    ['with an IP length beyond the packet', 0x0800, { totalLength: 1500, udpLength: 1480 }],
    ['with an IP length of nothing', 0x0800, { totalLength: 0 }],
  ] as const)('%s: not taken', (_, __, fields) => {
    const bytes = outerFrame(innerPacket(), fields);
    expect(fateOf(bytes, true).kind).not.toBe('taken');
    expectFate(bytes);
  });

  test('cut short at any length: not taken', () => {
    const whole = outerFrame(innerPacket());
    for (let length = SHORTEST; length < whole.length; length += 1) {
      const { verdict } = arrive(whole.subarray(0, length));
      expect(verdict, `${length} bytes`).toBe('unspec');
    }
    expect(arrive(whole).verdict).toBe('redirect');
  });

  test('an inner packet cut short at any length: not taken', () => {
    const inner = innerPacket();
    for (let length = 0; length < inner.length; length += 1) {
      expectFate(outerFrame(inner.subarray(0, length)));
    }
  });

  test('padding behind the outer packet does no harm', () => {
    const inner = innerPacket({}, filler(0));
    const padded = concatBytes([outerFrame(inner), new Uint8Array(10)]);
    const { verdict, packet } = arrive(padded);
    expect(verdict).toBe('redirect');
    expect(packet.subarray(ETHERNET, ETHERNET + 20)).toEqual(inner);
  });

  test.each([
    ['of version 6', { version: 6 }, 'malformed'],
    ['with a header shorter than any', { ihl: 4 }, 'malformed'],
    ['with a header longer than itself', { ihl: 15, totalLength: 59 }, 'malformed'],
    ['longer than its datagram', { totalLength: 61 }, 'malformed'],
    ['of length 0', { totalLength: 0 }, 'malformed'],
    ['from another source', { source: inner('172.28.0.3') }, 'foreign-source'],
    ['from our own address', { source: INNER_LOCAL }, 'foreign-source'],
  ] as const)('an inner packet %s: refused, and counted', (_, fields, reason) => {
    const { verdict, counted } = arrive(outerFrame(innerPacket(fields)));
    expect(verdict).toBe('shot');
    expect(counted).toEqual([reason]);
    expect(loaded().entries.counters(3)).toMatchObject({ rxPackets: 0n, rxRefused: 1n });
  });

  test('inner sources: hosts, prefixes by the longest, any', () => {
    const from = (source: string): string => {
      const { verdict, counted } = arrive(outerFrame(innerPacket({ source: ip(source) })));
      return counted[0] ?? verdict;
    };
    loaded().setHost(inner('100.64.1.1'), 3);
    loaded().setHost(inner('100.64.1.2'), 4);
    loaded().setPrefix({ ip: inner('100.65.0.0'), length: 16 }, 3);
    loaded().setPrefix({ ip: inner('100.65.3.0'), length: 24 }, 4);
    expect(from('100.64.1.1')).toBe('foreign-source');
    loaded().configure({ ...CONFIG, hasHosts: true });
    expect(from('100.64.1.1')).toBe('redirect');
    expect(from('100.64.1.2')).toBe('foreign-source');
    expect(from('100.65.0.1')).toBe('foreign-source');
    loaded().configure({ ...CONFIG, hasHosts: true, hasPrefixes: true });
    expect(from('100.65.0.1')).toBe('redirect');
    expect(from('100.65.3.1')).toBe('foreign-source');
    expect(from('100.66.0.1')).toBe('foreign-source');
    loaded().admit(3, { ...PEER, anySource: true });
    expect(from('100.66.0.1')).toBe('redirect');
  });

  // RFC 6040, figure 4: inner mark down, outer mark across (Not-ECT, ECT(1), ECT(0), CE).
  test.each([
    [0, [0, 0, 0, undefined]],
    [1, [1, 1, 1, 3]],
    [2, [2, 1, 2, 3]],
    [3, [3, 3, 3, 3]],
  ] as const)('an inner packet of mark %i', (mark, results) => {
    for (const [outer, result] of results.entries()) {
      const bytes = outerFrame(innerPacket({ tos: 0xb8 | mark }), { tos: outer });
      if (result === undefined) expect(arrive(bytes).counted).toEqual(['congestion']);
      else expectTaken(bytes, innerPacket({ tos: 0xb8 | result }));
    }
  });

  test('who is evicted is a stranger, who is re-pointed sends from the new path alone', () => {
    const bytes = outerFrame(innerPacket());
    const moved = outerFrame(innerPacket(), { sourcePort: 999 });
    loaded().admit(3, { ...PEER, remotePort: 999 });
    expect(arrive(bytes)).toMatchObject({ verdict: 'unspec', counted: ['passed-up'] });
    expect(arrive(moved).verdict).toBe('redirect');
    loaded().evict(3);
    expect(arrive(moved)).toMatchObject({ verdict: 'unspec', counted: ['passed-up'] });
    expect([...loaded().entries.paths(LOCAL_PORT)]).toEqual([]);
    expect(loaded().entries.counters(3).rxPackets).toBe(1n);
  });

  test.each([0, 1, 2, 3])('the MSS of a SYN is lowered, after %i NOPs', (nops) => {
    const syn = (mss: number, fields = {}) => tcpPacket(fields, TCP_SYN, synOptions(mss, nops));
    expectTaken(outerFrame(syn(1460)), syn(1360));
    expectTaken(outerFrame(syn(1360)), syn(1360));
    expectTaken(outerFrame(syn(500)), syn(500));
    const ack = tcpPacket({}, TCP_ACK, synOptions(1460, nops));
    expectTaken(outerFrame(ack), ack);
  });
}

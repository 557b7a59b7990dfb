/*
 * What comes out of a tunnel whose other end is in this same kernel is marked as tunnelled, and has to go into the next
 * one all the same, whatever families are outside and inside. The drawings of the hosts are at the heads of
 * test/rig/plane-pair.ts and test/rig/two-hosts.ts; here b has a second peer, a socket in a:
 *
 *     a   ipipou0 ── :10000 ┄ v0 ┄ :10000 ── ipipou0   b
 *     a   socket  ── :20001 ┄ v0 ┄ :10000 ──┘
 */
import { describe, expect, test } from 'vitest';
import { hostPrefix, type Family } from '../../src/core/addr.ts';
import { DEFAULT_PEER, type PeerId } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { inner } from '../rig/addresses.ts';
import { COMBINATIONS, endsOf } from '../rig/ends.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { eventually, pairForEach, type PlanePair } from '../rig/plane-pair.ts';

const SECOND = 'second' as PeerId;
const SECOND_IP = { ipv4: inner('172.28.0.77'), ipv6: inner('fd28::77') } as const;
const FORWARDING = {
  ipv4: 'net.ipv4.ip_forward=1',
  ipv6: 'net.ipv6.conf.all.forwarding=1',
} as const;

describe.each(COMBINATIONS)('in by $outside, $inside inside', (combination) => {
  let pair: PlanePair;
  const ends = endsOf(combination);
  // Of a pair of IPv4 alone the cable has no other addresses.
  const families: readonly Family[] =
    combination.outside === 'ipv4' && combination.inside === 'ipv4' ? ['ipv4'] : ['ipv4', 'ipv6'];

  pairForEach({ a: 'bpf', ends }, (made) => {
    pair = made;
  });

  test.each(families)('out by %s', async (family) => {
    const { a, b, cable } = pair;
    const to = SECOND_IP[ends.inside];
    const peers = [
      {
        id: DEFAULT_PEER,
        innerIps: ends.allOfA,
        allowedIps: ends.allOfA.map((ip) => hostPrefix(ip)),
      },
      { id: SECOND, innerIps: [to], allowedIps: [hostPrefix(to)] },
    ];
    await Promise.all([pair.openA(), pair.openB({ peers })]);
    await pair.admitBoth();
    const over = endsOf({ ...ends, outside: family });
    const remote = { ip: over.otherA, port: port(20_001) };
    await b.admit({ local: over.b, remote }, SECOND);
    await cable.sure(cable.b, 'sysctl', '-qw', FORWARDING[ends.inside]);
    await cable.sure(cable.a, 'ip', 'route', 'add', to, 'dev', 'ipipou0');
    using socket = NamespaceSocket.udp(cable.a, remote);
    for (const size of [0, 56, 1000]) {
      await cable.exec(cable.a, 'ping', '-c1', '-W1', '-s', String(size), to);
      const length = ends.header + 8 + size;
      await eventually(() => {
        const packets = socket.received();
        expect(packets.map((packet) => packet.length)).toContain(length);
        expect(packets.every((packet) => (packet[0] ?? 0) >> 4 === versionOf(ends.inside))).toBe(
          true,
        );
      });
    }
    expect((await b.describePeer(SECOND)).refused).toEqual({});
    expect((await a.describePeer()).refused).toEqual({});
  });
});

function versionOf(family: Family): number {
  return family === 'ipv4' ? 4 : 6;
}

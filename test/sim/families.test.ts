import { describe, expect, it } from 'vitest';
import type { Family } from '../../src/core/addr.ts';
import { familyOf } from '../../src/core/addr.ts';
import { isReachable, SECOND, secondsUntilEcho, startedWorld } from './scene.ts';
import { ip, NAT64_IP, SERVER_IP, SERVER_IP6, World, type Families } from './world.ts';

const BOTH: readonly Family[] = ['ipv6', 'ipv4'];
const DUAL: Families = { client: BOTH, server: BOTH };
const DEAD = ip('2001:db8:dead::1');

/** By which family the client's packets go. */
function familyIn({ tunnel: { client } }: World): Family | undefined {
  return client.admitted && familyOf(client.admitted.remote.ip);
}

/** The client's address of a family is there no more, or is back. */
const lose = (world: World, family: Family, told = true): void =>
  world.moveClientBy(family, world.tunnel, undefined, told);
const regain = (world: World, family: Family): void => {
  const back = { ipv4: '10.0.0.2', ipv6: '2001:db8:c::2' };
  world.moveClientBy(family, world.tunnel, ip(back[family]));
};

describe('coming up', () => {
  it.each<readonly [string, Families, Family]>([
    ['both on both sides, by what the system prefers', DUAL, 'ipv6'],
    ['a client of IPv4 alone', { client: ['ipv4'], server: BOTH }, 'ipv4'],
    ['a client of IPv6 alone', { client: ['ipv6'], server: BOTH }, 'ipv6'],
    ['a server of IPv4 alone', { client: BOTH, server: ['ipv4'] }, 'ipv4'],
    ['a server of IPv6 alone', { client: BOTH, server: ['ipv6'] }, 'ipv6'],
  ])('takes one round trip with %s', (_what, families, family) => {
    const world = new World({ seed: 1, families });
    world.start();
    expect(secondsUntilEcho(world, world.tunnel)).toBeLessThan(1.1);
    expect(familyIn(world)).toBe(family);
    expect(isReachable(world, world.tunnel)).toBe(true);
    expect(world.tunnel.client.status.phase).toBe('established');
  });

  it.each([
    ['that answers', true],
    ['that never answers', false],
  ])('by a name whose IPv6 leads nowhere takes seconds, with a server %s', (_what, reply) => {
    const world = new World({ seed: 1, families: { client: BOTH, server: ['ipv4'] }, reply });
    world.dns = [DEAD, SERVER_IP];
    world.start();
    expect(secondsUntilEcho(world, world.tunnel)).toBeLessThan(8);
    world.clockwork.advance(10 * SECOND);
    expect(world.tunnel.client.status.phase).toBe('established');
    expect(familyIn(world)).toBe('ipv4');
    // It has no reason to look back.
    world.talk(world.tunnel, SECOND);
    world.clockwork.advance(600 * SECOND);
    expect(familyIn(world)).toBe('ipv4');
  });

  it('by a name that leads nowhere by either family, until the server is there', () => {
    const world = new World({ seed: 1, families: DUAL });
    world.strandServer('ipv4');
    world.strandServer('ipv6');
    world.start();
    world.clockwork.advance(100 * SECOND);
    world.moveServer(SERVER_IP);
    world.clockwork.advance(9 * SECOND);
    expect(world.tunnel.client.status.phase).toBe('established');
    expect(familyIn(world)).toBe('ipv4');
  });

  it('by a NAT64, where there is IPv6 alone and the server has IPv4 alone', () => {
    const families: Families = { client: ['ipv6'], server: ['ipv4'] };
    const world = startedWorld({ families, nat64: true });
    const { tunnel } = world;
    expect(secondsUntilEcho(world, tunnel)).toBeLessThan(1.1);
    expect(tunnel.member.admitted?.remote.ip).toBe(NAT64_IP);
    expect(tunnel.client.logged.join('\n')).toContain("by the network's NAT64");
    regain(world, 'ipv4');
    world.clockwork.advance(SECOND);
    expect(familyIn(world)).toBe('ipv4');
    expect(secondsUntilEcho(world, tunnel)).toBeLessThan(1.1);
  });
});

describe('a client with both families', () => {
  it.each([
    ['ipv6', 'ipv4'],
    ['ipv4', 'ipv6'],
  ] as const)('that loses %s goes on by %s at once, and the server follows', (lost, left) => {
    const world = startedWorld({ families: DUAL, timers: { keepalive: 0 } });
    if (lost === 'ipv4') {
      lose(world, 'ipv6');
      world.clockwork.advance(SECOND);
      regain(world, 'ipv6');
    }
    expect(familyIn(world)).toBe(lost);
    lose(world, lost);
    world.clockwork.advance(0.1 * SECOND);
    expect(familyIn(world)).toBe(left);
    expect(isReachable(world, world.tunnel)).toBe(true);
    expect(world.tunnel.server.logged.at(-1)).toBe('peer has moved');
    expect(secondsUntilEcho(world, world.tunnel)).toBeLessThan(1.1);
  });

  it('stays where it works when the other family is back', () => {
    const world = startedWorld({ families: DUAL });
    lose(world, 'ipv6');
    world.clockwork.advance(SECOND);
    regain(world, 'ipv6');
    world.clockwork.advance(600 * SECOND);
    expect(familyIn(world)).toBe('ipv4');
    expect(world.tunnel.client.status.phase).toBe('established');
  });

  it('that is not told notices within a minute', () => {
    const world = startedWorld({ families: DUAL, timers: { keepalive: 0 } });
    lose(world, 'ipv6', false);
    world.clockwork.advance(61 * SECOND);
    expect(familyIn(world)).toBe('ipv4');
    expect(isReachable(world, world.tunnel)).toBe(true);
  });

  it('is offline without either, and back with whichever comes first', () => {
    for (const first of BOTH) {
      const world = startedWorld({ families: DUAL });
      for (const family of BOTH) lose(world, family);
      world.clockwork.advance(200 * SECOND);
      expect(world.tunnel.client.status.phase).toBe('offline');
      regain(world, first);
      world.clockwork.advance(0.2 * SECOND);
      expect(familyIn(world)).toBe(first);
      expect(isReachable(world, world.tunnel)).toBe(true);
    }
  });

  it.each([true, false])(
    'finds a way by the other when one goes dark without a word (replies: %s)',
    (reply) => {
      const world = startedWorld({ families: DUAL, reply, timers: { deadPeerTimeout: 30 } });
      world.talk(world.tunnel, SECOND);
      world.clockwork.advance(20 * SECOND);
      expect(familyIn(world)).toBe('ipv6');
      world.strandServer('ipv6');
      const { clockwork, tunnel } = world;
      const begin = clockwork.now;
      const found = clockwork.until(
        begin + 60 * SECOND,
        () => familyIn(world) === 'ipv4' && (tunnel.echoedAt ?? 0) > begin + SECOND,
      );
      expect(found).toBe(true);
      // The address that is dead stays in the name.
      clockwork.advance(300 * SECOND);
      expect(familyIn(world)).toBe('ipv4');
    },
  );

  it('goes by the other where its plane cannot carry the one', () => {
    const world = new World({ seed: 1, families: DUAL });
    world.tunnel.client.admitFailure = ({ remote }) => familyOf(remote.ip) === 'ipv6';
    world.start();
    world.clockwork.advance(3 * SECOND);
    expect(familyIn(world)).toBe('ipv4');
    expect(isReachable(world, world.tunnel)).toBe(true);
    expect(secondsUntilEcho(world, world.tunnel)).toBeLessThan(1.1);
  });

  it('keeps its server from one restart to the next, by the family that worked', () => {
    const world = startedWorld({ families: DUAL });
    const { client } = world.tunnel;
    lose(world, 'ipv6');
    world.clockwork.advance(SECOND);
    regain(world, 'ipv6');
    client.kill();
    world.clockwork.advance(SECOND);
    client.start();
    world.clockwork.advance(SECOND);
    expect(familyIn(world)).toBe('ipv4');
    expect(secondsUntilEcho(world, world.tunnel)).toBeLessThan(1.1);
  });
});

describe('a server with both families', () => {
  it('restarts with clients of both, and goes on with each where it was', () => {
    const world = startedWorld({ families: DUAL, shared: true, tunnels: 2 });
    const [first, second] = world.tunnels;
    if (!first || !second) throw new Error('two tunnels');
    world.moveClientBy('ipv6', second, undefined);
    world.clockwork.advance(SECOND);
    first.server.kill();
    first.server.start();
    expect(first.member.admitted?.local.ip).toBe(SERVER_IP6);
    expect(second.member.admitted?.local.ip).toBe(SERVER_IP);
    for (const tunnel of world.tunnels) {
      expect(secondsUntilEcho(world, tunnel)).toBeLessThan(1.1);
    }
  });

  it('does not take a client that tries its families by turns for two with one key', () => {
    // Nothing is answered and nothing comes back: the client goes on trying.
    const world = startedWorld({ families: DUAL, reply: false, timers: { keepalive: 10 } });
    world.clockwork.advance(170 * SECOND);
    const { server } = world.tunnel;
    const moves = server.logged.filter((line) => line === 'peer has moved').length;
    expect(moves).toBeGreaterThan(10);
    expect(server.status.troubles).toEqual([]);
    expect(secondsUntilEcho(world, world.tunnel)).toBeLessThan(1.1);
    world.clockwork.advance(10 * SECOND);
    expect(world.tunnel.client.status.phase).toBe('established');
  });

  it('that moves to another address of either family is found', () => {
    const world = startedWorld({ families: DUAL, timers: { keepalive: 27 } });
    world.moveServer(ip('2001:db8:5::44'));
    world.dns = world.serverIps;
    world.clockwork.advance((27 + 30 + 2) * SECOND);
    expect(isReachable(world, world.tunnel)).toBe(true);
  });
});

describe('the size of a path', () => {
  const limits = ({ tunnel: { client, member } }: World): readonly (number | undefined)[] => [
    client.first.mtuLimit,
    member.mtuLimit,
  ];

  it('is searched for by IPv6 as by IPv4, and forgotten when the family changes', () => {
    const world = new World({ seed: 1, mtu: 'auto', families: DUAL, ipv6Inside: true });
    world.network.mtu = 1372;
    world.start();
    world.clockwork.advance(10 * SECOND);
    expect(limits(world)).toEqual([1352, 1352]);
    lose(world, 'ipv6');
    world.clockwork.advance(10 * SECOND);
    expect(limits(world)).toEqual([1372, 1372]);
    world.network.mtu = Number.POSITIVE_INFINITY;
    lose(world, 'ipv4');
    regain(world, 'ipv6');
    world.clockwork.advance(10 * SECOND);
    expect(limits(world)).toEqual([undefined, 1452]);
  });

  it('that leaves no room for IPv6 inside is told of on both sides, as long as it is so', () => {
    const world = new World({ seed: 1, mtu: 'auto', families: DUAL, ipv6Inside: true });
    const { client, server } = world.tunnel;
    world.network.mtu = 1252;
    world.start();
    world.talk(world.tunnel, SECOND);
    world.clockwork.advance(30 * SECOND);
    expect(limits(world)).toEqual([1232, 1232]);
    for (const { status } of [client, server]) {
      expect(status.troubles).toContainEqual({ kind: 'ipv6-off', mtu: 1232 });
    }
    world.network.mtu = Number.POSITIVE_INFINITY;
    world.clockwork.advance(11 * 60 * SECOND);
    for (const host of [client, server]) {
      expect(host.status.troubles).toEqual([]);
      expect(host.logged).toContain('the path takes enough for IPv6 again');
    }
  });
});

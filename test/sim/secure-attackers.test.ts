/** What docs/PROTOCOL.md promises of each attacker, and the times in which a tunnel works again. */
import { expect, it } from 'vitest';
import { samePath } from '../../src/core/addr.ts';
import { Blocker, Injector, isTheirs, Relay, Replayer } from './adversaries.ts';
import { isReachable, LONG, SECOND, secondsUntilEcho, startedWorld } from './scene.ts';
import { ip, type Tunnel, type World } from './world.ts';

const SEEDS = Array.from({ length: 10 }, (_unused, index) => index + 1);
const LEVELS = ['none', 'header', 'full'] as const;

/** A world whose client says something all the time. */
function busyWorld(seed: number, integrity: (typeof LEVELS)[number], period = 50): World {
  const world = startedWorld({ seed, session: 'v2', integrity });
  world.talk(world.tunnel, period, LONG);
  world.clockwork.advance(SECOND);
  return world;
}

const isAtTheirs = ({ member }: Tunnel): boolean =>
  member.admitted !== undefined && isTheirs(member.admitted.remote);

const suspects = ({ server }: Tunnel): number =>
  server.logged.filter((line) => line.startsWith('somebody sends on packets')).length;

it.each(LEVELS)('a relay that stops nothing does not take a live path over: %s', (integrity) => {
  for (const seed of SEEDS) {
    const world = busyWorld(seed, integrity);
    const { tunnel } = world;
    const relay = new Relay(world, { delay: 1.5 * seed });
    let there = 0;
    for (let tenth = 0; tenth < 600; tenth += 1) {
      if (tenth % 50 === 0) tunnel.client.dispatch({ kind: 'reauthenticate' });
      world.clockwork.advance(SECOND / 10);
      if (isAtTheirs(tunnel)) there += 1;
    }
    expect(relay.sentOn, `seed ${seed}`).toBeGreaterThan(1000);
    expect(suspects(tunnel), `seed ${seed}`).toBeGreaterThan(0);
    // With tags the first packet moves the peer, until the path that it was on has answered.
    expect(there, `seed ${seed}`).toBeLessThan(integrity === 'none' ? 1 : 60);
    relay.stop();
    world.clockwork.advance(11 * SECOND);
    expect(isReachable(world, tunnel), `seed ${seed}`).toBe(true);
  }
});

it('a relay that stops the originals carries the tunnel, and no longer than he is there', () => {
  for (const seed of SEEDS) {
    const world = busyWorld(seed, 'full');
    const { tunnel } = world;
    const relay = new Relay(world, { stops: true, delay: 20 });
    world.clockwork.advance(20 * SECOND);
    expect(secondsUntilEcho(world, tunnel), `seed ${seed}`).toBeLessThan(3);
    relay.stop();
    world.clockwork.advance(10 * SECOND);
    expect(isReachable(world, tunnel), `seed ${seed}`).toBe(true);
  }
});

it.each(LEVELS)(
  'an injector moves nothing, ends nothing, and gets no data in but at none: %s',
  (integrity) => {
    for (const seed of SEEDS) {
      const world = busyWorld(seed, integrity, SECOND);
      const { tunnel } = world;
      const { since } = tunnel.server.status.secure;
      const { admitted } = tunnel.member;
      const injector = new Injector(world, new Replayer(world));
      let sent = 0n;
      for (let second = 0; second < 60; second += 1) {
        injector.inject(20);
        world.clockwork.advance(SECOND);
        sent = tunnel.client.first.txPackets;
        expect(
          tunnel.member.admitted && admitted && samePath(tunnel.member.admitted, admitted),
        ).toBe(true);
      }
      expect(tunnel.server.status.secure.since, `seed ${seed}`).toBe(since);
      expect(tunnel.client.status.phase).toBe('established');
      if (integrity === 'none') expect(tunnel.member.rxPackets).toBeGreaterThan(sent);
      else expect(tunnel.member.rxPackets).toBeLessThanOrEqual(sent);
    }
  },
);

it('a replayer moves nothing, also after either side was started again', () => {
  for (const seed of SEEDS) {
    const world = busyWorld(seed, 'full');
    const { tunnel } = world;
    const replayer = new Replayer(world);
    world.clockwork.advance(60 * SECOND);
    for (let round = 0; round < 10; round += 1) {
      if (round === 3) {
        tunnel.server.kill();
        tunnel.server.start();
      }
      if (round === 5) {
        tunnel.client.kill();
        tunnel.client.start();
      }
      if (round === 7) {
        tunnel.server.reboot();
        tunnel.server.start();
      }
      for (let i = 0; i < 20; i += 1) {
        replayer.replay(20);
        world.clockwork.advance(SECOND / 5);
        expect(isAtTheirs(tunnel), `seed ${seed}`).toBe(false);
      }
    }
    expect(isReachable(world, tunnel), `seed ${seed}`).toBe(true);
  }
});

it('a blocker of handshakes stops no session that is there, and of CONTROL none that has tags', () => {
  const world = busyWorld(1, 'full');
  const { tunnel } = world;
  const blocker = new Blocker(world);
  blocker.kinds = ['init', 'response'];
  world.clockwork.advance(2000 * SECOND);
  expect(secondsUntilEcho(world, tunnel)).toBeLessThan(1.2);
  blocker.kinds = [];
  world.clockwork.advance(61 * SECOND);
  blocker.kinds = ['control'];
  world.clockwork.advance(20 * SECOND);
  expect(secondsUntilEcho(world, tunnel)).toBeLessThan(1.2);
});

it.each([
  ['none', 1.1],
  ['header', 0.2],
  ['full', 0.2],
] as const)('after a NAT has forgotten, data comes back in time: %s, %d s', (integrity, most) => {
  for (const seed of SEEDS) {
    const world = busyWorld(seed, integrity, 10);
    // Packets that are too small to be challenged for wait for the next PING.
    world.clockwork.advance(3 * SECOND + 37 * seed);
    world.nat.move(ip('203.0.113.9'));
    const begin = world.clockwork.now;
    const { tunnel } = world;
    const works = world.clockwork.until(
      begin + 30 * SECOND,
      () => isReachable(world, tunnel) && (tunnel.echoedAt ?? 0) > begin + 60,
    );
    expect(works, `seed ${seed}`).toBe(true);
    expect((world.clockwork.now - begin) / SECOND, `seed ${seed}`).toBeLessThan(most);
    expect(suspects(tunnel), `seed ${seed}`).toBe(0);
  }
});

it.each(LEVELS)(
  'a server that has forgotten all says so, and the tunnel works at once: %s',
  (integrity) => {
    for (const seed of SEEDS) {
      const world = busyWorld(seed, integrity);
      const { tunnel } = world;
      tunnel.server.reboot();
      world.serverForgets(tunnel);
      tunnel.server.start();
      // Without tags the next question tells; with them the next packet.
      if (integrity === 'none') tunnel.client.dispatch({ kind: 'reauthenticate' });
      world.clockwork.advance(0.4 * SECOND);
      expect(isReachable(world, tunnel), `seed ${seed}`).toBe(true);
      expect(secondsUntilEcho(world, tunnel), `seed ${seed}`).toBeLessThan(1.2);
    }
  },
);

it('a client that moves while a relay is at work is followed to where it is', () => {
  for (const seed of SEEDS) {
    const world = busyWorld(seed, 'none');
    const { tunnel } = world;
    const relay = new Relay(world, { delay: 25 });
    world.moveClient(tunnel, ip('10.7.7.7'));
    world.clockwork.advance(SECOND);
    expect(isReachable(world, tunnel), `seed ${seed}`).toBe(true);
    relay.stop();
  }
});

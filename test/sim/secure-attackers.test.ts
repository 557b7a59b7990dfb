/** What docs/PROTOCOL.md promises of each attacker, and the times in which a tunnel works again. */
import { expect, it } from 'vitest';
import { samePath, type Endpoint } from '../../src/core/addr.ts';
import { readCookie } from '../../src/core/handshake/cookies.ts';
import { mac1Of } from '../../src/core/handshake/init.ts';
import { indexOf, packetKind } from '../../src/core/handshake/layout.ts';
import { sipHash128 } from '../../src/core/siphash.ts';
import { port } from '../../src/core/units.ts';
import { Blocker, Injector, isTheirs, Relay, Replayer } from './adversaries.ts';
import { isReachable, LONG, SECOND, secondsUntilEcho, startedWorld } from './scene.ts';
import type { Datagram } from './network.ts';
import { ATTACKER, ip, SERVER_IP, World, type Tunnel } from './world.ts';

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

it('who stops the proof of new keys and moves the peer has no packet under them taken twice', () => {
  const world = busyWorld(1, 'full');
  const { tunnel } = world;
  const stopped = { proof: false, next: false };
  const data: Datagram[] = [];
  world.network.tap = ({ payload }) => {
    if (packetKind(payload) !== 'response') return;
    stopped.proof = true;
    world.network.tap = undefined;
  };
  world.network.stops = (datagram) => {
    if (!stopped.proof || datagram.to.ip !== SERVER_IP) return false;
    if (packetKind(datagram.payload) === 'control') return true;
    if (!stopped.next) {
      data.push(datagram);
      return false;
    }
    stopped.next = false;
    world.network.inject({ ...datagram, from: ATTACKER }, 1);
    return true;
  };
  for (let tenth = 0; tenth < 12_000 && !stopped.proof; tenth += 1) {
    world.clockwork.advance(SECOND / 10);
  }
  world.clockwork.advance(SECOND / 2);
  stopped.next = true;
  world.clockwork.advance(SECOND / 10);
  stopped.proof = false;
  const recorded = data.splice(0);
  world.clockwork.advance(4 * SECOND);
  expect(isReachable(world, tunnel)).toBe(true);
  // The plane of the simulator throws when it takes one twice.
  for (const datagram of recorded) world.network.inject(datagram, 1);
  world.clockwork.advance(SECOND);
  expect(recorded.length).toBeGreaterThan(5);
});

it('one address and a recorded INIT keep nobody out whose clock was set back', () => {
  const world = new World({ seed: 1, session: 'v2', realKeys: true, integrity: 'full' });
  const { network, clockwork, tunnel } = world;
  const inits: Datagram[] = [];
  network.tap = (datagram) => {
    if (packetKind(datagram.payload) === 'init') inits.push(datagram);
  };
  world.start();
  clockwork.advance(2 * SECOND);
  network.tap = undefined;
  const recorded = inits.at(-1);
  const { client } = tunnel;
  const keys = client.options.crypto(client.first.peer.proof).secure?.clientKeys();
  const index = recorded && indexOf(recorded.payload);
  if (recorded === undefined || keys === undefined || index === undefined)
    throw new Error('no INIT');
  const cookies: { readonly to: Endpoint; readonly cookie: Uint8Array }[] = [];
  network.attach(ATTACKER.ip, ({ payload, to }) => {
    const read = readCookie(keys, { index, mac1: mac1Of(recorded.payload) }, payload);
    if (read.ok) cookies.push({ to, cookie: read.value });
  });
  // He uses up what his address may send without cookies, and keeps all places with those that he is given then.
  for (let count = 0; count < 120; count += 1) {
    const from = { ip: ATTACKER.ip, port: port(2000 + count) };
    network.inject({ ...recorded, from }, 1 + count / 100);
  }
  clockwork.advance(15 * SECOND);
  const shoot = (): void => {
    const one = cookies.shift();
    if (one === undefined) return;
    const payload = recorded.payload.slice();
    payload.set(sipHash128(one.cookie, payload.subarray(0, 184)), 184);
    network.inject({ from: one.to, to: recorded.to, payload }, 1);
  };
  expect(cookies.length).toBeGreaterThan(20);
  for (let place = 0; place < 4; place += 1) {
    for (let round = 0; round < 5; round += 1) clockwork.after(round * 10_001 + place * 10, shoot);
  }
  clockwork.advance(SECOND / 10);
  client.skew = -3600 * SECOND;
  client.reboot();
  client.start();
  clockwork.advance(5 * SECOND);
  expect(client.status.secure.version).toBe(2);
  expect(isReachable(world, tunnel)).toBe(true);
});

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

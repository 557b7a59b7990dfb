import { expect, it } from 'vitest';
import { samePath } from '../../src/core/addr.ts';
import { packetKind } from '../../src/core/handshake/layout.ts';
import { isReachable, LONG, SECOND, secondsUntilEcho, startedWorld } from './scene.ts';
import { ATTACKER, ip, World, type Tunnel, type WorldOptions } from './world.ts';
import type { Datagram } from './network.ts';

const SECURE = { realKeys: true, session: 'v2' } as const;

function secureWorld(options: Partial<WorldOptions> = {}): World {
  return startedWorld({ ...SECURE, ...options });
}

const versions = ({ client, server }: Tunnel) => [
  client.status.secure.version,
  server.status.secure.version,
];

/** What passes the network from now on. */
function recorded(world: World): Datagram[] {
  const packets: Datagram[] = [];
  world.network.tap = (datagram) => void packets.push(datagram);
  return packets;
}

it.each(['v2', 'auto'] as const)('comes up with session %s in two round trips', (session) => {
  const world = new World({ seed: 1, realKeys: true, session });
  const packets = recorded(world);
  world.start();
  world.clockwork.advance(0.2 * SECOND);
  const { tunnel } = world;
  expect(packets.map(({ payload }) => packetKind(payload))).toEqual([
    'init',
    'response',
    'control',
    'control',
  ]);
  expect(versions(tunnel)).toEqual([2, 2]);
  expect(tunnel.client.status.phase).toBe('established');
  expect(isReachable(world, tunnel)).toBe(true);
  expect(secondsUntilEcho(world, tunnel)).toBeLessThan(1.1);
});

it('several clients of one server share its port', () => {
  const world = secureWorld({ tunnels: 4, shared: true });
  for (const tunnel of world.tunnels) {
    expect(versions(tunnel)).toEqual([2, 2]);
    expect(isReachable(world, tunnel)).toBe(true);
  }
});

it('comes up on a lossy path, and no packet of it is answered by a longer one', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const world = new World({ seed, ...SECURE });
    world.network.weather = { loss: 0.3, duplication: 0.1, delay: 20, spread: 40 };
    world.start();
    world.clockwork.advance(60 * SECOND);
    expect(versions(world.tunnel), `seed ${seed}`).toEqual([2, 2]);
    expect(isReachable(world, world.tunnel), `seed ${seed}`).toBe(true);
  }
});

it('makes a new session every quarter of an hour, and keeps the tunnel meanwhile', () => {
  const world = secureWorld();
  const { tunnel } = world;
  const first = tunnel.client.status.secure.since;
  const stop = world.talk(tunnel, SECOND / 10);
  let gap = 0;
  for (let second = 0; second < 2000; second += 1) {
    world.clockwork.advance(SECOND);
    gap = Math.max(gap, world.clockwork.now - (tunnel.echoedAt ?? 0));
  }
  stop();
  expect(gap).toBeLessThan(0.3 * SECOND);
  expect(tunnel.client.status.secure.since).toBeGreaterThan((first ?? 0) + 1600 * SECOND);
});

it('a server that is killed goes on with the session, and so does a client', () => {
  const world = secureWorld();
  const { tunnel } = world;
  const since = tunnel.server.status.secure.since;
  tunnel.server.kill();
  tunnel.server.start();
  tunnel.client.kill();
  tunnel.client.start();
  world.clockwork.advance(40 * SECOND);
  expect(tunnel.server.status.secure.since).toBe(since);
  expect(tunnel.client.status.phase).toBe('established');
  expect(isReachable(world, tunnel)).toBe(true);
});

it('a server that was started anew says that it has forgotten, and has a new session at once', () => {
  const world = secureWorld();
  const { tunnel } = world;
  tunnel.server.reboot();
  tunnel.server.start();
  tunnel.client.dispatch({ kind: 'reauthenticate' });
  world.clockwork.advance(0.3 * SECOND);
  expect(tunnel.client.logged).toContain('the server has forgotten the session: beginning anew');
  expect(isReachable(world, tunnel)).toBe(true);
  expect(tunnel.client.status.phase).toBe('established');
});

it.each([
  { delay: 20, replayEvery: 0 },
  { delay: 300, replayEvery: 0 },
  { delay: 20, replayEvery: 20 },
])('RESETs hold up nobody: $delay ms away, sent again every $replayEvery', (options) => {
  const { delay, replayEvery } = options;
  const world = secureWorld({ integrity: 'full', realKeys: false });
  world.network.weather = { loss: 0, duplication: 0, delay, spread: 0 };
  const { tunnel } = world;
  world.talk(tunnel, 50, LONG);
  world.clockwork.advance(5 * SECOND);
  let reset: Datagram | undefined;
  let inits = 0;
  world.network.tap = (datagram) => {
    const kind = packetKind(datagram.payload);
    if (kind === 'reset') reset = datagram;
    if (kind === 'init') inits += 1;
  };
  tunnel.server.reboot();
  tunnel.server.start();
  const again = (): void => {
    if (reset) world.network.inject(reset);
    world.clockwork.after(replayEvery, again);
  };
  if (replayEvery > 0) again();
  world.clockwork.advance(10 * SECOND);
  expect(world.clockwork.now - (tunnel.echoedAt ?? 0)).toBeLessThan(2 * SECOND);
  expect(inits).toBeLessThan(20);
});

it('a client that moves by its own will is followed at once', () => {
  const world = secureWorld();
  const { tunnel } = world;
  const { since } = tunnel.server.status.secure;
  world.moveClient(tunnel, ip('10.7.7.7'));
  world.clockwork.advance(0.2 * SECOND);
  expect(isReachable(world, tunnel)).toBe(true);
  expect(tunnel.server.status.secure.since).toBe(since);
});

it('a NAT that forgets costs a second at most while data flows', () => {
  const world = secureWorld();
  const { tunnel } = world;
  const { client } = tunnel;
  for (let at = 0; at < 3 * SECOND; at += SECOND / 20) {
    world.clockwork.after(at, () => client.sendData(client.first, LONG));
  }
  world.clockwork.advance(2 * SECOND);
  world.nat.move(ip('203.0.113.9'));
  expect(isReachable(world, tunnel)).toBe(false);
  world.clockwork.advance(SECOND);
  expect(isReachable(world, tunnel)).toBe(true);
  expect(tunnel.server.logged.join()).not.toMatch(/sends on packets/);
});

it('who sends on what the client sends does not get the tunnel, and is told of', () => {
  const world = secureWorld();
  const { tunnel } = world;
  const { admitted } = tunnel.member;
  const packets = recorded(world);
  tunnel.client.dispatch({ kind: 'reauthenticate' });
  const [asked] = packets;
  if (!asked || !admitted) throw new Error('nothing was sent');
  world.network.tap = undefined;
  // Faster than the original, which then counts as the replay.
  tunnel.server.receive({ ...asked, from: ATTACKER });
  world.clockwork.advance(5 * SECOND);
  expect(tunnel.member.admitted && samePath(tunnel.member.admitted, admitted)).toBe(true);
  world.clockwork.advance(60 * SECOND);
  expect(isReachable(world, tunnel)).toBe(true);
});

it('what was recorded of a handshake does nothing', () => {
  const world = new World({ seed: 1, ...SECURE });
  const packets = recorded(world);
  world.start();
  world.clockwork.advance(2 * SECOND);
  const { tunnel } = world;
  const { admitted } = tunnel.member;
  world.network.tap = undefined;
  for (const packet of [...packets]) tunnel.server.receive({ ...packet, from: ATTACKER });
  world.clockwork.advance(20 * SECOND);
  expect(tunnel.member.admitted).toEqual(admitted);
  expect(tunnel.client.status.phase).toBe('established');
});

it('a client that has spoken session 2 is held to it, unless the config says otherwise', () => {
  const world = secureWorld({ session: 'auto' });
  const { tunnel } = world;
  expect(versions(tunnel)).toEqual([2, 2]);
  const old = { ...tunnel.client.first.peer.auth, session: 'v1' } as const;
  tunnel.client.kill();
  tunnel.client.first.peer = { ...tunnel.client.first.peer, auth: old };
  tunnel.client.start();
  world.clockwork.advance(10 * SECOND);
  expect(tunnel.client.status.phase).toBe('authenticating');
  expect(tunnel.server.status.refused['downgrade']).toBeGreaterThan(0);
  tunnel.server.kill();
  tunnel.member.peer = {
    ...tunnel.member.peer,
    auth: { ...tunnel.member.peer.auth, session: 'v1' },
  };
  tunnel.server.start();
  world.clockwork.advance(30 * SECOND);
  expect(tunnel.client.status.phase).toBe('established');
  expect(versions(tunnel)).toEqual([1, 1]);
});

it('against a server of session 1 auto speaks that, within a second or two', () => {
  const world = new World({ seed: 1, realKeys: true, session: 'auto' });
  const { tunnel } = world;
  const old = { ...tunnel.member.peer.auth, session: 'v1' } as const;
  tunnel.member.peer = { ...tunnel.member.peer, auth: old };
  world.start();
  world.clockwork.advance(2 * SECOND);
  expect(tunnel.client.status.phase).toBe('established');
  world.clockwork.advance(200 * SECOND);
  expect(versions(tunnel)).toEqual([1, 1]);
  expect(isReachable(world, tunnel)).toBe(true);
});

const WAITS = Array.from({ length: 16 }, (_, index) => 40 + 2 * index);

it.each(WAITS)('auto knows within ten seconds that a server is there at last, after %d', (wait) => {
  const world = new World({ seed: 1, realKeys: true, session: 'auto', reply: false });
  const { tunnel } = world;
  tunnel.client.start();
  world.clockwork.advance(wait * SECOND);
  tunnel.server.start();
  world.clockwork.advance(10 * SECOND);
  expect(tunnel.client.status.phase).toBe('established');
  expect(versions(tunnel)).toEqual([2, 2]);
});

it('a client knows since when it is seen where, and how often a NAT has changed that by itself', () => {
  const world = secureWorld({ timers: { keepalive: 5 } });
  const { tunnel } = world;
  const mapping = () => tunnel.client.status.secure.mapping;
  const since = mapping()?.since;
  const stop = world.talk(tunnel, SECOND);
  expect(mapping()).toMatchObject({ lost: 0, lostAt: undefined });
  world.clockwork.advance(100 * SECOND);
  expect(mapping()?.since).toBe(since);
  world.nat.move(ip('203.0.113.77'));
  world.clockwork.advance(100 * SECOND);
  stop();
  expect(mapping()).toMatchObject({ lost: 1, lostAt: mapping()?.since });
  expect(mapping()?.since).toBeGreaterThan(since ?? 0);
});

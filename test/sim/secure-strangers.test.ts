/** What strangers and recorded packets do to handshakes of session 2. */
import { expect, it } from 'vitest';
import { bearsMac2 } from '../../src/core/handshake/init.ts';
import { packetKind } from '../../src/core/handshake/layout.ts';
import { COPIES, OFFERS_MAX } from '../../src/core/session/secure/limits.ts';
import { port } from '../../src/core/units.ts';
import type { Datagram } from './network.ts';
import { isReachable, SECOND, startedWorld } from './scene.ts';
import { ip, World, type Tunnel } from './world.ts';

const SECURE = { session: 'v2' } as const;

/** Sends INITs that were recorded again, from forged sources. */
function replayInits(world: World, init: Datagram, perSecond: number, seconds: number): void {
  for (let i = 0; i < perSecond * seconds; i += 1) {
    const from = { ip: ip(`192.0.2.${i % 250}`), port: port(1024 + (i % 60_000)) };
    world.clockwork.after((1000 * i) / perSecond, () => {
      world.network.inject({ ...init, from });
    });
  }
}

function recordedInit(world: World): Datagram {
  let init: Datagram | undefined;
  world.network.tap = (datagram) => {
    if (packetKind(datagram.payload) === 'init') init = datagram;
  };
  world.start();
  world.clockwork.advance(2 * SECOND);
  world.network.tap = undefined;
  if (!init) throw new Error('no INIT');
  return init;
}

function begunAnew({ client }: Tunnel): void {
  client.reboot();
  client.start();
}

it.each([0, -3600, 3600])(
  'a client connects while its INITs are sent again from forged sources, its clock %d s off',
  (skew) => {
    const world = new World({ seed: 1, ...SECURE });
    const init = recordedInit(world);
    const { tunnel } = world;
    replayInits(world, init, 60, 60);
    world.clockwork.advance(20 * SECOND);
    const before = tunnel.server.status.secure.since;
    tunnel.client.skew = skew * SECOND;
    begunAnew(tunnel);
    world.clockwork.advance(2 * SECOND);
    expect(tunnel.client.status.phase).toBe('established');
    expect(tunnel.server.status.secure.since).not.toBe(before);
    expect(isReachable(world, tunnel)).toBe(true);
  },
);

it('a client that has moved does without the cookie of where it was, and takes the new one at once', () => {
  const world = new World({ seed: 1, ...SECURE });
  const init = recordedInit(world);
  const { tunnel } = world;
  replayInits(world, init, 60, 60);
  world.clockwork.advance(20 * SECOND);
  begunAnew(tunnel);
  world.clockwork.advance(2 * SECOND);
  expect(tunnel.client.status.phase).toBe('established');
  const inits: { readonly at: number; readonly cookied: boolean }[] = [];
  world.network.tap = ({ payload }) => {
    if (packetKind(payload) !== 'init') return;
    inits.push({ at: world.clockwork.now, cookied: bearsMac2(payload) });
  };
  world.moveClient(tunnel, ip('10.7.7.7'));
  tunnel.server.reboot();
  tunnel.server.start();
  world.clockwork.advance(20 * SECOND);
  const [first, second] = inits;
  expect([first?.cookied, second?.cookied]).toEqual([false, true]);
  // Sooner than the same one would be sent again.
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeLessThan(0.2 * SECOND);
});

it('an INIT that comes again by the same path makes one offer, and more often than its client sends it is replayed', () => {
  const world = new World({ seed: 1, ...SECURE });
  world.network.tap = (datagram) => {
    if (packetKind(datagram.payload) !== 'init') return;
    for (let copy = 0; copy <= COPIES; copy += 1) world.network.inject(datagram);
  };
  world.start();
  world.clockwork.advance(0.2 * SECOND);
  expect(world.tunnel.client.status.phase).toBe('established');
  expect(world.tunnel.server.table.refused['replayed']).toBe(1);
});

it('a client connects while each of its INITs comes from other sources at once, too', () => {
  const world = new World({ seed: 1, ...SECURE });
  let last = '';
  world.network.tap = (datagram) => {
    if (packetKind(datagram.payload) !== 'init') return;
    const bytes = String(datagram.payload);
    if (bytes === last) return;
    last = bytes;
    for (let i = 1; i <= OFFERS_MAX; i += 1) {
      const elsewhere = { ip: ip(`192.0.2.${i}`), port: port(1024) };
      world.network.inject({ ...datagram, from: elsewhere }, world.network.weather.delay + 1);
    }
  };
  world.start();
  world.clockwork.advance(2 * SECOND);
  expect(world.tunnel.client.status.phase).toBe('established');
  // Its offer was there still when it answered.
  expect(world.tunnel.server.table.refused).toEqual({});
  expect(isReachable(world, world.tunnel)).toBe(true);
});

it('a client whose server gives less than it asks for says so until it does', () => {
  const world = startedWorld({
    ...SECURE,
    integrity: 'full',
    planeIntegrity: { server: ['none'] },
  });
  const { tunnel } = world;
  const refused = { kind: 'integrity-refused', level: 'full', by: 'server' };
  expect(tunnel.client.status.troubles).toContainEqual(refused);
  expect(tunnel.client.logged.join('\n')).toContain("the server's data plane cannot do it");
  const { auth } = tunnel.client.first.peer;
  tunnel.client.kill();
  tunnel.client.first.peer = {
    ...tunnel.client.first.peer,
    auth: { ...auth, integrity: 'none' },
  };
  tunnel.client.start();
  tunnel.server.kill();
  tunnel.member.peer = { ...tunnel.member.peer, auth: { ...auth, integrity: 'none' } };
  tunnel.server.start();
  world.clockwork.advance(3 * SECOND);
  expect(tunnel.client.status.troubles).toEqual([]);
});

it('a server whose plane cannot do what an INIT asks for says so now and then, however often it comes', () => {
  const world = new World({
    seed: 1,
    ...SECURE,
    integrity: 'full',
    planeIntegrity: { server: ['none'] },
  });
  replayInits(world, recordedInit(world), 20, 20);
  world.clockwork.advance(20 * SECOND);
  const told = world.tunnel.server.logged.filter((line) =>
    line.includes('integrity full is wanted'),
  );
  expect(told).toHaveLength(1);
});

it('an INIT that its client sends again since the answer was lost is no replay', () => {
  const world = new World({ seed: 1, ...SECURE });
  let lost = 0;
  world.network.stops = ({ payload }) => packetKind(payload) === 'response' && lost++ === 0;
  world.start();
  world.clockwork.advance(0.9 * SECOND);
  expect(lost).toBe(1);
  expect(world.tunnel.server.table.refused).toEqual({});
  world.clockwork.advance(4 * SECOND);
  expect(world.tunnel.client.status.phase).toBe('established');
});

it('an INIT that is lost is sent again soon, and an answer ends that', () => {
  const world = new World({ seed: 1, ...SECURE });
  const inits: number[] = [];
  let lost = 3;
  world.network.tap = ({ payload }) => {
    if (packetKind(payload) === 'init') inits.push(world.clockwork.now);
  };
  world.network.stops = ({ payload }) => packetKind(payload) === 'init' && lost-- > 0;
  world.start();
  world.clockwork.advance(5 * SECOND);
  const [first = 0, ...others] = inits;
  expect(others.map((at) => Math.round(at - first))).toEqual([200, 300, 400]);
  expect(world.tunnel.client.status.phase).toBe('established');
});

/** What strangers and recorded packets do to handshakes of session 2. */
import { expect, it } from 'vitest';
import { packetKind } from '../../src/core/handshake/layout.ts';
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

it('an INIT that comes twice by the same path makes one offer', () => {
  const world = new World({ seed: 1, ...SECURE });
  world.network.tap = (datagram) => {
    if (packetKind(datagram.payload) === 'init') world.network.inject(datagram);
  };
  world.start();
  world.clockwork.advance(0.2 * SECOND);
  expect(world.tunnel.client.status.phase).toBe('established');
  expect(world.tunnel.server.status.refused['replayed']).toBe(1);
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

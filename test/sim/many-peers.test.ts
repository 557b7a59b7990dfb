import { describe, expect, it } from 'vitest';
import { sameEndpoint } from '../../src/core/addr.ts';
import { OVERALL_RATE } from '../../src/core/budgets.ts';
import { Attacker } from './actions.ts';
import { isReachable, SECOND, secondsUntilEcho } from './scene.ts';
import { ip, World, type WorldOptions } from './world.ts';

const HINTS: readonly (readonly [string, (index: number) => boolean])[] = [
  ['hints', () => true],
  ['no hints', () => false],
  ['hints here and there', (index) => index % 2 === 0],
];

/** One daemon that serves several clients behind one address. */
function startedWorld(options: Partial<WorldOptions> = {}): World {
  const world = new World({ seed: 1, tunnels: 5, shared: true, ...options });
  world.start();
  world.clockwork.advance(5 * SECOND);
  return world;
}

describe.each(HINTS)('several clients behind one address to one port, with %s', (_what, hints) => {
  it('are all reached', () => {
    const world = startedWorld({ hints });
    expect(world.servers).toHaveLength(1);
    for (const tunnel of world.tunnels) {
      expect(isReachable(world, tunnel), `client ${tunnel.index}`).toBe(true);
      expect(secondsUntilEcho(world, tunnel)).toBeLessThan(1.1);
      expect(tunnel.client.status.repliesVerified).toBeGreaterThan(0);
    }
  });

  it('are all followed when they move, each alone', () => {
    const world = startedWorld({ hints });
    const [mover] = world.tunnels;
    if (!mover) throw new Error('nobody');
    const others = world.tunnels.filter((tunnel) => tunnel !== mover);
    const before = others.map(({ member }) => member.admitted);
    world.moveClient(mover, ip('10.7.7.7'));
    world.clockwork.advance(5 * SECOND);
    expect(isReachable(world, mover)).toBe(true);
    expect(others.map(({ member }) => member.admitted)).toEqual(before);
  });

  it('find their places again when the router gives out ports anew', () => {
    const world = startedWorld({ hints });
    const before = world.tunnels.map(({ member }) => member.admitted?.remote);
    world.nat.forget();
    // In another order than at first.
    for (const tunnel of world.tunnels.toReversed()) {
      tunnel.client.dispatch({ kind: 'reauthenticate' });
      world.clockwork.advance(SECOND);
    }
    world.clockwork.advance(60 * SECOND);
    for (const tunnel of world.tunnels) expect(isReachable(world, tunnel)).toBe(true);
    const after = world.tunnels.map(({ member }) => member.admitted?.remote);
    const places = before.map((place) =>
      after.findIndex((one) => one && place && sameEndpoint(one, place)),
    );
    expect(places).toEqual([4, 3, 2, 1, 0]);
  });

  it('go on after the server was restarted, and after it was rebooted', () => {
    const world = startedWorld({ hints, timers: { keepalive: 0 } });
    const { server } = world.tunnel;
    for (const end of ['kill', 'reboot'] as const) {
      server[end]();
      world.clockwork.advance(20 * SECOND);
      server.start();
      for (const tunnel of world.tunnels) expect(isReachable(world, tunnel), end).toBe(true);
    }
  });
});

describe('what one client sent', () => {
  it('admits nobody else, neither at once nor later nor after a restart', () => {
    const world = new World({ seed: 3, tunnels: 4, shared: true, hints: (index) => index > 1 });
    const attacker = new Attacker(world);
    world.start();
    world.clockwork.advance(60 * SECOND);
    const { server } = world.tunnel;
    const before = server.peers.map(({ admitted }) => admitted);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 200; i++) {
        attacker.replay();
        attacker.forge();
        world.clockwork.advance(20);
      }
      server.kill();
      server.start();
    }
    expect(server.peers.map(({ admitted }) => admitted)).toEqual(before);
  });
});

describe('a peer that is removed', () => {
  it('is no longer known, and no longer accepted when it returns', () => {
    const world = startedWorld();
    const [leaver, ...others] = world.tunnels;
    if (!leaver) throw new Error('nobody');
    const { server, member, client } = leaver;
    server.table.directory.remove(member);
    member.admitted = undefined;
    world.moveClient(leaver, ip('10.7.7.7'));
    world.clockwork.advance(60 * SECOND);
    expect(member.admitted).toBeUndefined();
    expect(client.status.phase).toBe('authenticating');
    expect(server.table.refused['unknown-peer']).toBeGreaterThan(2);
    for (const tunnel of others) expect(isReachable(world, tunnel)).toBe(true);
  });
});

describe('a flood without hints', () => {
  it('costs a server of many peers as much as one of one peer', () => {
    const world = new World({ seed: 1, tunnels: 20, shared: true, timers: { keepalive: 10 } });
    const attacker = new Attacker(world);
    world.start();
    world.clockwork.advance(20 * SECOND);
    const before = world.verifications;
    const genuine = world.tunnels.reduce((sum, { referee }) => sum + referee.accepted, 0);
    for (let second = 0; second < 30; second++) {
      attacker.flood(500);
      world.clockwork.advance(SECOND);
    }
    const accepted = world.tunnels.reduce((sum, { referee }) => sum + referee.accepted, 0);
    const wasted = world.verifications - before - (accepted - genuine);
    expect(accepted - genuine).toBeGreaterThanOrEqual(20 * 3);
    expect(wasted).toBeLessThanOrEqual(30 * OVERALL_RATE.perSecond + OVERALL_RATE.burst);
    for (const tunnel of world.tunnels) expect(isReachable(world, tunnel)).toBe(true);
  });
});

import { describe, expect, it } from 'vitest';
import { RESOLVE_AGAIN } from '../../src/core/session/limits.ts';
import { isReachable, SECOND, secondsUntilEcho, startedWorld } from './scene.ts';
import { ip, SERVER_IP, World } from './world.ts';

describe('coming up', () => {
  it.each([
    ['signed replies', {}],
    ['reversed replies', { signedReplies: false }],
    ['no replies', { reply: false }],
    ['real keys', { realKeys: true }],
    ['a token', { proof: { kind: 'token', token: new Uint8Array(20).fill(7) } }],
    ['no proof', { proof: { kind: 'none' } }],
    ['a literal address', { literal: true }],
  ] as const)('takes one round trip with %s', (_what, options) => {
    const world = new World({ seed: 1, ...options });
    world.start();
    expect(secondsUntilEcho(world, world.tunnel)).toBeLessThan(1.1);
    expect(isReachable(world, world.tunnel)).toBe(true);
    // Where nothing replies, the counters tell.
    world.clockwork.advance(6 * SECOND);
    expect(world.tunnel.client.status.phase).toBe('established');
    expect(world.tunnel.server.status.phase).toBe('established');
  });

  it('works for two clients behind one address, each with its own server', () => {
    const world = startedWorld({ tunnels: 2 });
    for (const tunnel of world.tunnels) {
      expect(isReachable(world, tunnel)).toBe(true);
      expect(secondsUntilEcho(world, tunnel)).toBeLessThan(1.1);
    }
  });

  it('survives the loss of the first packet, also when the server never replies', () => {
    const world = new World({ seed: 1, reply: false, timers: { keepalive: 0 } });
    world.network.weather = { ...world.network.weather, loss: 1 };
    world.start();
    world.clockwork.advance(0.5 * SECOND);
    world.network.weather = { ...world.network.weather, loss: 0 };
    world.clockwork.advance(5 * SECOND);
    expect(isReachable(world, world.tunnel)).toBe(true);
  });

  it('repeats itself until a name resolves', () => {
    const world = new World({ seed: 1 });
    world.dns = [];
    world.start();
    world.clockwork.advance(40 * SECOND);
    expect(world.tunnel.client.status.phase).toBe('resolving');
    world.dns = [SERVER_IP];
    world.clockwork.advance(80 * SECOND);
    expect(isReachable(world, world.tunnel)).toBe(true);
  });
});

describe('roaming', () => {
  it('follows the client to another network at once, and tells nobody else', () => {
    const world = startedWorld();
    const { tunnel } = world;
    world.moveClient(tunnel, ip('10.7.7.7'));
    world.clockwork.advance(SECOND);
    expect(isReachable(world, tunnel)).toBe(true);
    expect(secondsUntilEcho(world, tunnel)).toBeLessThan(1.1);
  });

  it('comes back at once when a route returns', () => {
    const world = startedWorld();
    const { tunnel } = world;
    world.moveClient(tunnel, undefined);
    world.clockwork.advance(300 * SECOND);
    expect(tunnel.client.status.phase).toBe('offline');
    const sent = tunnel.client.status.authPacketsSent;
    world.moveClient(tunnel, ip('10.0.0.9'));
    world.clockwork.advance(0.1 * SECOND);
    expect(tunnel.client.status.authPacketsSent).toBe(sent + 1);
    expect(isReachable(world, tunnel)).toBe(true);
  });

  it('notices a new address within a minute even when nobody tells', () => {
    const world = startedWorld({ timers: { keepalive: 0 } });
    const { tunnel } = world;
    world.moveClient(tunnel, ip('10.7.7.7'), false);
    world.clockwork.advance(61 * SECOND);
    expect(isReachable(world, tunnel)).toBe(true);
  });

  it('follows a public address that changes in the router, with the next keepalive', () => {
    const world = startedWorld({ timers: { keepalive: 27 } });
    const { tunnel } = world;
    world.nat.move(ip('203.0.113.77'));
    world.clockwork.advance(28 * SECOND);
    expect(isReachable(world, tunnel)).toBe(true);
  });
});

describe('a NAT that forgets', () => {
  it('does not while the client keeps alive', () => {
    const world = startedWorld({ natLifetime: 30, timers: { keepalive: 27 } });
    for (let minute = 0; minute < 20; minute++) {
      world.clockwork.advance(60 * SECOND);
      expect(isReachable(world, world.tunnel)).toBe(true);
    }
    const { server } = world.tunnel;
    expect(server.logged.filter((line) => line === 'peer has moved')).toHaveLength(0);
  });

  it('costs a silent client its way in, and its data opens another', () => {
    const world = startedWorld({ natLifetime: 30, timers: { keepalive: 0 } });
    const { tunnel } = world;
    world.clockwork.advance(31 * SECOND);
    expect(isReachable(world, tunnel)).toBe(false);
    // Data leaves from a new port that the server does not know; its silence is noticed.
    expect(secondsUntilEcho(world, tunnel)).toBeLessThan(25);
  });
});

describe('a server that moves', () => {
  it('is found under its new address after its silence was noticed', () => {
    const world = startedWorld({ timers: { keepalive: 27, deadPeerTimeout: 30 } });
    world.moveServer(ip('198.51.100.44'));
    world.dns = [ip('198.51.100.44')];
    world.clockwork.advance((27 + 30 + 2) * SECOND);
    expect(isReachable(world, world.tunnel)).toBe(true);
  });

  it('is found when its name changes later than its address', () => {
    const world = startedWorld();
    world.moveServer(ip('198.51.100.44'));
    world.clockwork.advance(600 * SECOND);
    world.dns = [ip('198.51.100.44')];
    world.clockwork.advance(RESOLVE_AGAIN + SECOND);
    expect(isReachable(world, world.tunnel)).toBe(true);
  });

  it('is found among several addresses, one after the other', () => {
    const world = new World({ seed: 1, reply: true });
    world.start();
    world.clockwork.advance(SECOND);
    world.moveServer(ip('198.51.100.3'));
    world.dns = [SERVER_IP, ip('198.51.100.2'), ip('198.51.100.3')];
    world.clockwork.advance(5 * 60 * SECOND);
    expect(isReachable(world, world.tunnel)).toBe(true);
  });
});

import { describe, expect, it } from 'vitest';
import { Attacker } from './actions.ts';
import { isReachable, SECOND, secondsUntilEcho, startedWorld } from './scene.ts';
import { ATTACKER, World } from './world.ts';

describe('a server that starts after its client', () => {
  it.each([
    { after: 8, within: 3 },
    { after: 30, within: 3 },
    { after: 115, within: 3 },
    { after: 600, within: 25 },
  ])('by $after s is connected to within $within s', ({ after, within }) => {
    const world = new World({ seed: after, timers: { keepalive: 25 } });
    const { client, server } = world.tunnel;
    client.start();
    world.clockwork.advance(after * SECOND);
    expect(client.status).toMatchObject({
      phase: 'authenticating',
      troubles: [{ kind: 'no-answer' }],
    });
    server.start();
    world.clockwork.advance(within * SECOND);
    expect(client.status).toMatchObject({ phase: 'established', troubles: [] });
  });
});

describe('a server that restarts', () => {
  it('goes on without an outage, and without a word from the client', () => {
    const world = startedWorld({ timers: { keepalive: 0 } });
    const { server } = world.tunnel;
    server.kill();
    world.clockwork.advance(20 * SECOND);
    server.start();
    expect(server.status.phase).toBe('established');
    expect(secondsUntilEcho(world, world.tunnel)).toBeLessThan(0.1);
  });

  it('admits the remembered client again after a reboot', () => {
    const world = startedWorld({ timers: { keepalive: 0 } });
    const { server } = world.tunnel;
    server.reboot();
    world.clockwork.advance(20 * SECOND);
    server.start();
    expect(isReachable(world, world.tunnel)).toBe(true);
  });

  it('does not admit it again when it ran out in the meantime', () => {
    const world = startedWorld({ timers: { keepalive: 0, connectionIdle: 60, authLifetime: 60 } });
    const { server } = world.tunnel;
    server.kill();
    world.clockwork.advance(119 * SECOND);
    expect(server.admitted).toBeDefined();
    server.start();
    expect(server.admitted).toBeUndefined();
    expect(server.memory?.remote).toBeUndefined();
  });

  it('is found again by the keepalive when it has lost its memory', () => {
    const world = startedWorld({ timers: { keepalive: 27 } });
    const { tunnel } = world;
    tunnel.server.reboot();
    world.serverForgets(tunnel);
    tunnel.server.start();
    expect(secondsUntilEcho(world, tunnel)).toBeLessThan(28);
  });

  it('does not accept what it accepted before', () => {
    const world = new World({ seed: 1 });
    const attacker = new Attacker(world);
    world.start();
    world.clockwork.advance(60 * SECOND);
    const { server } = world.tunnel;
    server.kill();
    server.start();
    const { admitted } = server;
    for (const { to, payload } of attacker.captured) {
      world.network.send({ from: ATTACKER, to, payload });
    }
    world.clockwork.advance(SECOND);
    expect(server.admitted).toEqual(admitted);
    const { refused } = server.status;
    expect((refused['replayed'] ?? 0) + (refused['stale'] ?? 0)).toBeGreaterThan(2);
  });
});

describe('the lifetime of a remembered client', () => {
  it.each([
    [60, 120],
    [3600, 120],
    [30, 10],
  ])('ends %d s after its connection of %d s, to the second', (authLifetime, connectionIdle) => {
    const world = new World({ seed: 1, timers: { keepalive: 0, authLifetime, connectionIdle } });
    world.start();
    // All of the first packets are sent before the client hears the first reply, or none but one is.
    world.clockwork.advance(5 * SECOND);
    const { server } = world.tunnel;
    const heard = server.status.lastHeardAt ?? 0;
    const end = heard + (connectionIdle + authLifetime) * SECOND;
    expect(server.status.rememberedUntil).toBeCloseTo(end, -1);
    world.clockwork.advance(end - server.now().unix - SECOND);
    expect(server.admitted).toBeDefined();
    expect(server.status.phase).toBe('listening');
    world.clockwork.advance(SECOND + 1);
    expect(server.admitted).toBeUndefined();
    expect(server.memory?.remote).toBeUndefined();
  });

  it('begins anew with data', () => {
    const timers = { keepalive: 0, authLifetime: 30, connectionIdle: 30, deadPeerTimeout: 0 };
    const world = startedWorld({ timers });
    const { client, server } = world.tunnel;
    for (let i = 0; i < 20; i++) {
      client.sendData();
      world.clockwork.advance(50 * SECOND);
      expect(server.admitted).toBeDefined();
    }
    world.clockwork.advance(20 * SECOND);
    expect(server.admitted).toBeUndefined();
  });

  it('is without end when it is 0', () => {
    const world = startedWorld({ timers: { keepalive: 0, authLifetime: 0, connectionIdle: 10 } });
    world.clockwork.advance(24 * 3600 * SECOND);
    expect(world.tunnel.server.admitted).toBeDefined();
    expect(world.tunnel.server.status.rememberedUntil).toBeUndefined();
  });
});

describe('a server that dies', () => {
  it.each([
    ['that replies', true],
    ['that never replies', false],
  ])('%s is noticed by data, and found again when it is back', (_what, reply) => {
    const world = startedWorld({ reply, timers: { keepalive: 0, deadPeerTimeout: 30 } });
    const { tunnel } = world;
    const stop = world.talk(tunnel, SECOND);
    world.clockwork.advance(10 * SECOND);
    tunnel.server.reboot();
    world.serverForgets(tunnel);
    world.clockwork.advance(45 * SECOND);
    expect(tunnel.client.status.phase).toBe('authenticating');
    world.clockwork.advance(3600 * SECOND);
    stop();
    tunnel.server.start();
    world.clockwork.advance(75 * SECOND);
    expect(isReachable(world, tunnel)).toBe(true);
  });

  it('is asked with growing pauses, never more than 72 s nor less than 48 s in the end', () => {
    const world = startedWorld({ timers: { keepalive: 0 } });
    const { tunnel } = world;
    tunnel.server.kill();
    tunnel.server.evictAll();
    tunnel.client.dispatch({ kind: 'reauthenticate' });
    world.clockwork.advance(600 * SECOND);
    const before = tunnel.client.status.authPacketsSent;
    world.clockwork.advance(3600 * SECOND);
    const sent = tunnel.client.status.authPacketsSent - before;
    expect(sent).toBeGreaterThanOrEqual(50);
    expect(sent).toBeLessThanOrEqual(75);
  });

  it('is not missed while nothing is sent', () => {
    const world = startedWorld({ timers: { keepalive: 0 } });
    const { tunnel } = world;
    const sent = tunnel.client.status.authPacketsSent;
    tunnel.server.reboot();
    world.clockwork.advance(24 * 3600 * SECOND);
    expect(tunnel.client.status.phase).toBe('established');
    expect(tunnel.client.status.authPacketsSent).toBe(sent);
  });

  it('that never replies is not missed for one unanswered datagram', () => {
    const world = startedWorld({ reply: false, timers: { keepalive: 0 } });
    const { tunnel } = world;
    secondsUntilEcho(world, tunnel);
    world.clockwork.advance(10 * SECOND);
    const sent = tunnel.client.status.authPacketsSent;
    tunnel.server.reboot();
    tunnel.client.sendData();
    world.clockwork.advance(3600 * SECOND);
    expect(tunnel.client.status.authPacketsSent).toBe(sent);
    expect(tunnel.client.status.phase).toBe('established');
  });
});

describe('a lost reply', () => {
  it('is asked for again after a second, with another packet', () => {
    const world = startedWorld({ timers: { keepalive: 0 } });
    const { client, server } = world.tunnel;
    const { authPacketsSent, repliesVerified } = client.status;
    client.dispatch({ kind: 'reauthenticate' });
    // The request is under way already; the reply will be lost.
    world.network.weather = { ...world.network.weather, loss: 1 };
    const { accepted } = world.tunnel.referee;
    world.clockwork.advance(100);
    expect(world.tunnel.referee.accepted).toBe(accepted + 1);
    expect(client.status.repliesVerified).toBe(repliesVerified);
    world.network.weather = { ...world.network.weather, loss: 0 };
    world.clockwork.advance(2 * SECOND);
    expect(client.status.authPacketsSent).toBe(authPacketsSent + 2);
    expect(client.status.repliesVerified).toBe(repliesVerified + 1);
    expect(world.tunnel.referee.accepted).toBe(accepted + 2);
    expect(server.status.refused).toEqual({});
    expect(client.status.phase).toBe('established');
  });
});

describe('keepalives of the server', () => {
  it('tell a client that sends nothing that the server lives, and are not answered', () => {
    const world = startedWorld({
      timers: { keepalive: 0 },
      serverTimers: { keepalive: 20, authLifetime: 0 },
    });
    const { client } = world.tunnel;
    const { lastHeardAt, authPacketsSent } = client.status;
    world.clockwork.advance(41 * SECOND);
    expect(client.status.lastHeardAt).toBeGreaterThan((lastHeardAt ?? 0) + 35 * SECOND);
    expect(client.status.authPacketsSent).toBe(authPacketsSent);
    expect(client.status.refused).toEqual({});
  });

  it('stop when the client is forgotten', () => {
    const timers = { keepalive: 0, connectionIdle: 10, authLifetime: 30 };
    const world = startedWorld({ timers, serverTimers: { keepalive: 5 } });
    world.clockwork.advance(60 * SECOND);
    const { client } = world.tunnel;
    const { lastHeardAt } = client.status;
    world.clockwork.advance(600 * SECOND);
    expect(client.status.lastHeardAt).toBe(lastHeardAt);
  });
});

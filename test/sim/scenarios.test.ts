import { describe, expect, it } from 'vitest';
import { sameEndpoint } from '../../src/core/addr.ts';
import { RESOLVE_AGAIN } from '../../src/core/session/limits.ts';
import { Attacker } from './actions.ts';
import { ATTACKER, ip, SERVER_IP, World, type Tunnel, type WorldOptions } from './world.ts';

const SECOND = 1000;

/** A world whose tunnels have come up. */
function startedWorld(options: Partial<WorldOptions> = {}): World {
  const world = new World({ seed: 1, ...options });
  world.start();
  world.clockwork.advance(2 * SECOND);
  return world;
}

/** Whether the server admits the client where the network shows it now. */
function isReachable(world: World, tunnel: Tunnel): boolean {
  const outside = world.outsideOf(tunnel);
  const { admitted } = tunnel.server;
  return !!outside && !!admitted && sameEndpoint(admitted.remote, outside);
}

/** Seconds until data of the client is answered through the tunnel; undefined = not within ten minutes. */
function secondsUntilEcho(world: World, tunnel: Tunnel): number | undefined {
  const begin = world.clockwork.now;
  const stop = world.talk(tunnel, SECOND);
  const found = world.clockwork.until(begin + 600 * SECOND, () => (tunnel.echoedAt ?? 0) > begin);
  stop();
  return found ? (world.clockwork.now - begin) / SECOND : undefined;
}

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
    tunnel.server.memory = undefined;
    tunnel.referee.serverForgot();
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
    tunnel.server.memory = undefined;
    tunnel.referee.serverForgot();
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
    tunnel.server.admitted = undefined;
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

describe('clocks', () => {
  it('too far apart are refused, with the difference in words, until they are set', () => {
    const world = new World({ seed: 1 });
    const { client, server } = world.tunnel;
    client.skew = 412 * SECOND;
    world.start();
    world.clockwork.advance(100 * SECOND);
    expect(server.admitted).toBeUndefined();
    expect(server.status.refused).toEqual({ clock: client.status.authPacketsSent });
    expect(server.logged.join('\n')).toContain('clocks differ by 412 s, allowed 300: ');
    client.skew = 0;
    world.clockwork.advance(28 * SECOND);
    expect(isReachable(world, world.tunnel)).toBe(true);
  });

  it('may be set back while a tunnel is up', () => {
    const world = startedWorld();
    const { client, server } = world.tunnel;
    client.skew = -200 * SECOND;
    world.clockwork.advance(60 * SECOND);
    expect(server.status.refused).toEqual({});
    world.moveClient(world.tunnel, ip('10.7.7.7'));
    world.clockwork.advance(SECOND);
    expect(isReachable(world, world.tunnel)).toBe(true);
  });

  it('may be set back on the server, whose replies stay good', () => {
    const world = startedWorld();
    const { client, server } = world.tunnel;
    server.skew = -200 * SECOND;
    const { repliesVerified } = client.status;
    world.clockwork.advance(60 * SECOND);
    expect(client.status.repliesVerified).toBe(repliesVerified + 2);
    expect(client.status.refused).toEqual({});
  });

  it('that jump do not wake a timer', () => {
    const world = startedWorld({ timers: { keepalive: 0, connectionIdle: 60, authLifetime: 60 } });
    const { server } = world.tunnel;
    server.skew = 10 * 365 * 24 * 3600 * SECOND;
    world.clockwork.advance(100 * SECOND);
    expect(server.admitted).toBeDefined();
    world.clockwork.advance(20 * SECOND);
    expect(server.admitted).toBeUndefined();
  });
});

describe('a flood', () => {
  /** 1000 forged packets a second, with a right time, from other addresses. */
  function flood(world: World, attacker: Attacker, duration: number): void {
    for (let second = 0; second < duration; second++) {
      attacker.flood(1000);
      world.clockwork.advance(SECOND);
    }
  }

  it('costs the server a bounded number of signature checks, and the client nothing', () => {
    const world = new World({ seed: 1, timers: { keepalive: 10 } });
    const attacker = new Attacker(world);
    world.start();
    world.clockwork.advance(SECOND);
    const { client, server } = world.tunnel;
    const { repliesVerified } = client.status;
    const stop = world.talk(world.tunnel, SECOND);
    flood(world, attacker, 30);
    stop();
    const { refused } = server.status;
    expect(refused['signature']).toBeGreaterThan(100 * 29);
    expect(refused['signature']).toBeLessThanOrEqual(100 * 31);
    expect(refused['rate-limited']).toBeGreaterThan(25_000);
    expect(client.status.repliesVerified).toBe(repliesVerified + 3);
    expect(client.status.phase).toBe('established');
    expect(isReachable(world, world.tunnel)).toBe(true);
    expect(server.logged.length).toBeLessThan(20);
  });
});

describe('an attacker', () => {
  it('who has overheard everything moves nobody', () => {
    const world = new World({ seed: 1 });
    const attacker = new Attacker(world);
    world.start();
    world.clockwork.advance(100 * SECOND);
    const { server, client } = world.tunnel;
    const before = server.admitted;
    for (let i = 0; i < 500; i++) {
      attacker.replay();
      attacker.forge();
      world.clockwork.advance(20);
    }
    expect(server.admitted).toEqual(before);
    expect(client.status.phase).toBe('established');
  });

  it('who sends an old reply again does not make a dead server look alive', () => {
    const world = new World({ seed: 1, signedReplies: false, timers: { keepalive: 10 } });
    const attacker = new Attacker(world);
    world.start();
    world.clockwork.advance(100 * SECOND);
    const { server, client } = world.tunnel;
    server.reboot();
    const replies = attacker.captured.filter(({ from }) => from.ip === SERVER_IP);
    for (let i = 0; i < 100; i++) {
      for (const reply of replies) world.network.send(reply);
      world.clockwork.advance(SECOND);
    }
    expect(client.status.phase).toBe('authenticating');
    expect(client.status.refused['unsolicited']).toBeGreaterThan(0);
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

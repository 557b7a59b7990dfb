import { describe, expect, it } from 'vitest';
import { Attacker } from './actions.ts';
import { isReachable, SECOND, startedWorld } from './scene.ts';
import { ip, SERVER_IP, World } from './world.ts';

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
  it.each([
    ['one address', 2, () => '192.0.2.9'],
    ['many addresses', 30, (i: number) => `192.0.2.${i % 200}`],
  ] as const)(
    'who wears a hint out from %s holds up no client that moves for long',
    (_what, most, source) => {
      const world = startedWorld();
      const attacker = new Attacker(world);
      world.clockwork.advance(60 * SECOND);
      expect(attacker.captured).not.toHaveLength(0);
      attacker.wearOut(120 * SECOND, source);
      world.clockwork.advance(5 * SECOND);
      world.nat.move(ip('203.0.113.77'));
      world.moveClient(world.tunnel, ip('10.7.7.7'));
      world.clockwork.advance(most * SECOND);
      expect(isReachable(world, world.tunnel)).toBe(true);
    },
  );

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

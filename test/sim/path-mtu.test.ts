import { describe, expect, it } from 'vitest';
import { ip, World } from './world.ts';
import { SECOND, startedWorld } from './scene.ts';

const MINUTE = 60 * SECOND;

/** What both planes were told of the path. */
function limits({ tunnel: { client, member } }: World): readonly (number | undefined)[] {
  return [client.first.mtuLimit, member.mtuLimit];
}

/** A world with a path that takes inner packets of so many bytes. */
function worldOf(mtu: number, options: Parameters<typeof startedWorld>[0] = {}): World {
  const world = new World({ seed: 1, mtu: 'auto', ...options });
  world.network.mtu = mtu;
  world.start();
  return world;
}

describe('mtu auto', () => {
  it('limits nothing on a whole path', () => {
    const world = startedWorld({ mtu: 'auto' });
    world.clockwork.advance(30 * SECOND);
    expect(limits(world)).toEqual([undefined, 1472]);
    expect(world.tunnel.client.status.pathMtu).toEqual({
      limit: undefined,
      proved: 1472,
    });
  });

  it.each([
    ['signed replies', {}],
    ['reversed requests for replies', { signedReplies: false }],
    ['real keys', { realKeys: true }],
    ['many clients of one server', { shared: true, tunnels: 3 }],
  ])('finds a black hole within seconds, with %s', (_name, options) => {
    const world = worldOf(1252, options);
    world.clockwork.advance(4 * SECOND);
    expect(limits(world)).toEqual([1252, 1252]);
    world.clockwork.advance(MINUTE);
    expect(limits(world)).toEqual([1252, 1252]);
    expect(world.tunnel.client.status).toMatchObject({ phase: 'established', refused: {} });
    expect(world.tunnel.server.status.refused).toEqual({});
  });

  it('follows a path that shrinks and grows while data flows', () => {
    const world = startedWorld({ mtu: 'auto' });
    world.talk(world.tunnel, SECOND);
    world.clockwork.advance(MINUTE);
    world.network.mtu = 1372;
    world.clockwork.advance(45 * SECOND);
    expect(limits(world)).toEqual([1372, 1372]);
    world.network.mtu = 1472;
    world.clockwork.advance(11 * MINUTE);
    expect(limits(world)).toEqual([undefined, 1472]);
  });

  it('notices within seconds that what flowed has stopped', () => {
    const world = startedWorld({ mtu: 'auto' });
    const stop = world.talk(world.tunnel, 500);
    world.clockwork.advance(MINUTE);
    world.network.mtu = 1252;
    stop();
    world.clockwork.advance(8 * SECOND);
    expect(limits(world)).toEqual([1252, 1252]);
  });

  it('holds against loss, delay and disorder', () => {
    const world = worldOf(1252);
    world.network.weather = { loss: 0.1, duplication: 0.05, delay: 100, spread: 200 };
    world.talk(world.tunnel, SECOND);
    world.clockwork.advance(2 * MINUTE);
    const [client, server] = limits(world);
    for (const limit of [client, server]) {
      expect(limit).toBeLessThanOrEqual(1252);
      expect(limit).toBeGreaterThanOrEqual(1244);
    }
    expect(world.tunnel.client.status.phase).toBe('established');
  });

  it('begins anew on another path', () => {
    const world = worldOf(1252);
    world.clockwork.advance(30 * SECOND);
    world.network.mtu = 1472;
    world.moveClient(world.tunnel, ip('10.0.0.77'));
    world.clockwork.advance(30 * SECOND);
    expect(limits(world)).toEqual([undefined, 1472]);
  });

  it('takes no server for dead that answers all but what is too big', () => {
    const world = startedWorld({ mtu: 'auto' });
    world.talk(world.tunnel, SECOND);
    world.clockwork.advance(MINUTE);
    world.network.mtu = 700;
    world.clockwork.advance(5 * MINUTE);
    expect(world.tunnel.client.logged.join()).not.toMatch(/silent|back/);
    expect(limits(world)[0]).toBeGreaterThan(690);
  });

  it('sends nothing of size while nothing flows, and nothing at all without keepalive', () => {
    const world = startedWorld({ mtu: 'auto', timers: { keepalive: 0 } });
    world.clockwork.advance(30 * SECOND);
    let packets = 0;
    world.network.tap = () => (packets += 1);
    world.clockwork.advance(60 * MINUTE);
    expect(packets).toBe(0);
  });

  it('costs the server no more than it is sent', () => {
    const world = worldOf(1337);
    const bytes = { up: 0, down: 0 };
    world.network.tap = ({ from, payload }) => {
      bytes[from.ip === world.serverIp ? 'down' : 'up'] += payload.length;
    };
    world.talk(world.tunnel, 10 * SECOND);
    world.clockwork.advance(30 * MINUTE);
    expect(bytes.down).toBeLessThanOrEqual(bytes.up);
    expect(world.tunnel.server.status.refused).toEqual({});
  });

  it('says once that a server does not answer, and then believes ICMP for ten minutes', () => {
    const world = startedWorld({ mtu: 'auto', reply: false });
    world.talk(world.tunnel, SECOND);
    world.clockwork.advance(20 * MINUTE);
    const { client } = world.tunnel;
    const said = client.logged.filter((line) => line.includes('mtu auto'));
    expect(said).toEqual([expect.stringContaining('reply-on-auth-ok')]);
    expect(client.status.troubles).toContainEqual({ kind: 'unprobed', why: 'unanswered' });
    client.dispatch({ kind: 'too-big', mtu: 1252 });
    expect(limits(world)).toEqual([1252, undefined]);
    world.clockwork.advance(11 * MINUTE);
    expect(limits(world)).toEqual([undefined, undefined]);
  });

  it('says so where requests cannot be padded', () => {
    const token = new TextEncoder().encode('open sesame');
    const world = startedWorld({ mtu: 'auto', proof: { kind: 'token', token } });
    expect(world.tunnel.client.status.troubles).toContainEqual({
      kind: 'unprobed',
      why: 'unsigned',
    });
    world.clockwork.advance(MINUTE);
    expect(world.tunnel.client.status.phase).toBe('established');
  });
});

describe('ICMP', () => {
  it('that is forged shrinks a probed path for a moment only', () => {
    const world = startedWorld({ mtu: 'auto' });
    world.clockwork.advance(30 * SECOND);
    world.tunnel.client.dispatch({ kind: 'too-big', mtu: 672 });
    expect(limits(world)[0]).toBe(672);
    world.clockwork.advance(2 * SECOND);
    expect(limits(world)[0]).toBeUndefined();
  });

  it('about packets of the server holds until the client has proved it wrong', () => {
    const world = startedWorld({ mtu: 'auto' });
    const { server, member } = world.tunnel;
    world.clockwork.advance(30 * SECOND);
    server.dispatch({ kind: 'too-big', mtu: 1252 }, member);
    expect(limits(world)[1]).toBe(1252);
    world.talk(world.tunnel, SECOND);
    world.clockwork.advance(90 * SECOND);
    expect(limits(world)[1]).toBe(1472);
  });

  it('that is true is heard by the side whose packet it was', () => {
    const world = startedWorld();
    const { client, server, member } = world.tunnel;
    world.network.mtu = 1252;
    world.network.tooBig = ({ from }) => {
      if (from.ip === world.serverIp) server.dispatch({ kind: 'too-big', mtu: 1252 }, member);
      else client.dispatch({ kind: 'too-big', mtu: 1252 });
    };
    const big = Uint8Array.from([0x45, 0, 1472 >> 8, 1472 & 255, ...new Uint8Array(1468)]);
    client.sendData(client.first, big);
    expect(limits(world)).toEqual([1252, undefined]);
    server.sendData(member, big);
    expect(limits(world)).toEqual([1252, 1252]);
  });

  it('is not asked for by a fixed MTU, nor by none: requests stay short', () => {
    for (const mtu of [1300, undefined]) {
      const world = startedWorld(mtu === undefined ? {} : { mtu });
      let longest = 0;
      world.network.tap = ({ payload }) => (longest = Math.max(longest, payload.length));
      world.talk(world.tunnel, SECOND);
      world.clockwork.advance(60 * MINUTE);
      expect(longest).toBeLessThan(100);
    }
  });
});

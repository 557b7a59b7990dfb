/*
 *   one namespace:   t0 (mtu 1472)   t1   192.0.2.1/24 d0 <- veth -> d1
 *   for one test:                         another host's:            d1 192.0.2.2/24
 */
import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openRouteNetlink, type RouteNetlink } from '../../src/adapters/netlink/route.ts';
import { PeerRoutes } from '../../src/adapters/planes/peer-routes.ts';
import { RTPROT_IPIPOU } from '../../src/adapters/planes/route-protocol.ts';
import { UnreachableRoutes } from '../../src/adapters/planes/unreachable-routes.ts';
import { parseInnerIp, addToIp, type InnerIp, type Prefix } from '../../src/core/addr.ts';
import { port, type IfIndex } from '../../src/core/units.ts';
import type { PeerId } from '../../src/ports/data-plane.ts';
import { inNamespace } from '../rig/in-namespace.ts';

const NS = `ipipou-pr-${process.pid}`;
/** A hundred thousand take a second or two; this many show as much. */
const MANY = 30_000;
const [ANN, BOB] = ['ann' as PeerId, 'bob' as PeerId];
let netlink: RouteNetlink;
let [t0, t1] = [0 as IfIndex, 0 as IfIndex];

function run(script: string): string {
  const command = ['netns', 'exec', NS, 'bash', '-ec', script];
  return execFileSync('ip', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function prefix(text: string): Prefix {
  const [ip = '', length = '32'] = text.split('/');
  return { ip: ip as InnerIp, length: Number(length) };
}

/** The routes of ours as ip lists them. */
function shown(family: 4 | 6 = 4): readonly string[] {
  const lines = run(`ip -${family} route show proto ${RTPROT_IPIPOU}`).split('\n');
  return lines
    .map((line) => line.trim().replace(/ pref medium$/, ''))
    .filter((line) => line !== '');
}

beforeAll(async () => {
  execFileSync('ip', ['netns', 'add', NS]);
});

afterAll(() => {
  execFileSync('ip', ['netns', 'del', NS]);
});

beforeEach(async () => {
  run(`ip link set lo up
    for t in t0 t1; do ip tuntap add $t mode tun; ip link set $t mtu 1472 up; done
    ip link add d0 type veth peer name d1; ip addr add 192.0.2.1/24 dev d0; ip link set d0 up`);
  netlink = inNamespace(NS, openRouteNetlink);
  const [first, second] = [await netlink.linkByName('t0'), await netlink.linkByName('t1')];
  if (!first || !second) throw new Error('no devices');
  [t0, t1] = [first.index, second.index];
});

afterEach(() => {
  netlink.close();
  run('ip link del t0; ip link del t1; ip link del d0 || true');
});

describe('PeerRoutes', () => {
  it('makes what is said, changes what differs and removes what is no longer said', async () => {
    const routes = new PeerRoutes(netlink);
    const [a, b] = [prefix('10.1.0.0/16'), prefix('10.2.0.1/32')];
    const one = new Map([
      [ANN, { device: t0, prefixes: [a, b], mtu: undefined }],
      [BOB, { device: t0, prefixes: [prefix('10.3.0.0/24')], mtu: 1252 }],
    ]);
    expect(await routes.set(one)).toEqual([]);
    expect(shown()).toEqual([
      '10.1.0.0/16 dev t0 scope link linkdown',
      '10.2.0.1 dev t0 scope link linkdown',
      '10.3.0.0/24 dev t0 scope link linkdown mtu 1252',
    ]);
    await routes.set(new Map([[ANN, { device: t0, prefixes: [b], mtu: 1300 }]]));
    expect(shown()).toEqual([
      '10.2.0.1 dev t0 scope link linkdown mtu 1300',
      '10.3.0.0/24 dev t0 scope link linkdown mtu 1252',
    ]);
    await routes.set(
      new Map([[BOB, { device: t1, prefixes: [prefix('10.3.0.0/24')], mtu: 1252 }]]),
    );
    expect(shown()).toContain('10.3.0.0/24 dev t1 scope link linkdown mtu 1252');
    await routes.remove([ANN, 'stranger' as PeerId]);
    expect(shown()).toHaveLength(1);
    await routes.remove([BOB, ANN]);
    expect(shown()).toEqual([]);
  });

  it('gives a prefix that two peers claim to the later one, and leaves it with it', async () => {
    const routes = new PeerRoutes(netlink);
    const prefixes = [prefix('10.1.0.0/16')];
    await routes.set(new Map([[ANN, { device: t0, prefixes, mtu: undefined }]]));
    await routes.set(new Map([[BOB, { device: t0, prefixes, mtu: 1200 }]]));
    await routes.remove([ANN]);
    expect(shown()).toEqual(['10.1.0.0/16 dev t0 scope link linkdown mtu 1200']);
  });

  it("leaves a stranger's route alone, says so, and makes the rest", async () => {
    run('ip route add 10.1.0.0/16 via 192.0.2.9');
    const routes = new PeerRoutes(netlink);
    const [a, b] = [prefix('10.1.0.0/16'), prefix('10.2.0.0/16')];
    const wanted = new Map([[ANN, { device: t0, prefixes: [a, b], mtu: 1300 }]]);
    expect(await routes.set(wanted)).toMatchObject([{ prefix: a, error: { errno: 'EEXIST' } }]);
    expect(shown()).toEqual(['10.2.0.0/16 dev t0 scope link linkdown mtu 1300']);
    expect(run('ip route show 10.1.0.0/16')).toMatch(/via 192.0.2.9/);
    run('ip route del 10.1.0.0/16');
    expect(await routes.set(wanted)).toEqual([]);
    expect(shown()).toHaveLength(2);
  });

  it("says of whom a stranger's route has what, until it is tried again without that", async () => {
    run('ip route add 10.1.0.0/16 dev t1; ip route add 10.3.0.0/16 dev t1');
    const routes = new PeerRoutes(netlink);
    const [a, b, c] = [prefix('10.1.0.0/16'), prefix('10.2.0.0/16'), prefix('10.3.0.0/16')];
    const ofAnn = { device: t0, prefixes: [a, b], mtu: undefined };
    await routes.set(new Map([[ANN, ofAnn]]));
    await routes.set(new Map([[BOB, { device: t0, prefixes: [c], mtu: undefined }]]));
    const held = { peer: ANN, prefix: a, device: 't1' };
    expect(routes.taken).toEqual([held, { peer: BOB, prefix: c, device: 't1' }]);
    expect(routes.takenOf(ANN)).toEqual([held]);
    expect(await routes.retry()).toEqual([]);
    expect(routes.taken).toHaveLength(2);
    await routes.remove([BOB]);
    expect(routes.taken).toEqual([held]);
    run('ip route del 10.1.0.0/16');
    expect(await routes.retry()).toEqual([a]);
    expect(routes.taken).toEqual([]);
    expect(shown()).toHaveLength(2);
    run('ip route del 10.1.0.0/16; ip route add 10.1.0.0/16 via 192.0.2.9');
    expect(await routes.reconcile(t0)).toMatchObject({ failures: [{ prefix: a }] });
    expect(routes.taken).toEqual([{ peer: ANN, prefix: a, device: 'd0' }]);
    await routes.set(new Map([[ANN, { ...ofAnn, prefixes: [b] }]]));
    expect(routes.taken).toEqual([]);
  });

  it("takes over the kernel's route to the peer of an address of the device", async () => {
    run('ip addr add 172.28.0.0 peer 172.28.0.1 dev t0');
    const routes = new PeerRoutes(netlink);
    const prefixes = [prefix('172.28.0.1/32')];
    expect(await routes.set(new Map([[ANN, { device: t0, prefixes, mtu: 1300 }]]))).toEqual([]);
    expect(run('ip route show 172.28.0.1')).toMatch(/proto 148 .*mtu 1300/);
    expect(await routes.set(new Map([[ANN, { device: t0, prefixes, mtu: 1400 }]]))).toEqual([]);
    expect(run('ip route show 172.28.0.1')).toMatch(/mtu 1400/);
  });

  it('puts back what was flushed, mends what was changed, removes what an earlier run left', async () => {
    run(`ip route add 10.9.0.0/16 dev t0 proto ${RTPROT_IPIPOU} mtu 999`);
    const routes = new PeerRoutes(netlink);
    const prefixes = ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/16'].map(prefix);
    await routes.set(new Map([[ANN, { device: t0, prefixes, mtu: 1300 }]]));
    run(
      `ip route del 10.1.0.0/16; ip route change 10.2.0.0/16 dev t0 proto ${RTPROT_IPIPOU} mtu 99`,
    );
    expect(await routes.reconcile(t0)).toEqual({ mended: 3, failures: [] });
    expect(shown()).toEqual(
      ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/16'].map(
        (text) => `${text} dev t0 scope link linkdown mtu 1300`,
      ),
    );
    expect(await routes.reconcile(t0)).toEqual({ mended: 0, failures: [] });
    run('ip link set t0 down; ip link set t0 up');
    expect(await routes.reconcile(t0)).toMatchObject({ mended: 3 });
  });

  it('makes all again on a device that was made again', async () => {
    const routes = new PeerRoutes(netlink);
    const wanted = new Map([[ANN, { device: t0, prefixes: [prefix('10.1.0.0/16')], mtu: 1300 }]]);
    await routes.set(wanted);
    run('ip link set t0 down; ip link set t0 up');
    expect(shown()).toEqual([]);
    await routes.set(wanted);
    expect(shown()).toEqual([]);
    routes.forgetDevice(t0);
    await routes.set(wanted);
    expect(shown()).toHaveLength(1);
  });

  it('makes the kernel say what is too big, of forwarded packets and of its own', async () => {
    const routes = new PeerRoutes(netlink);
    await routes.set(
      new Map([[ANN, { device: t0, prefixes: [prefix('10.1.0.0/16')], mtu: 1300 }]]),
    );
    const host = `${NS}-host`;
    execFileSync('ip', ['netns', 'add', host]);
    try {
      run(`sysctl -qw net.ipv4.ip_forward=1; ip link set d1 netns ${host}
        ip -n ${host} addr add 192.0.2.2/24 dev d1; ip -n ${host} link set d1 up
        ip -n ${host} route add 10.1.0.0/16 via 192.0.2.1`);
      const ping = 'ping -c1 -W1 -M do -s 1273 10.1.2.3 2>&1 || true';
      expect(run(ping)).toMatch(/message too long, mtu[=: ]+1300/i);
      expect(run(`ip netns exec ${host} ${ping}`)).toMatch(
        /From 192\.0\.2\.1 .*Frag needed .*mtu = 1300/,
      );
    } finally {
      execFileSync('ip', ['netns', 'del', host]);
    }
  });

  it("says the kernel's reason when a device is down", async () => {
    run('ip link set t0 down');
    const routes = new PeerRoutes(netlink);
    const wanted = new Map([[ANN, { device: t0, prefixes: [prefix('10.1.0.0/16')], mtu: 1300 }]]);
    expect(await routes.set(wanted)).toMatchObject([{ error: { errno: 'ENETDOWN' } }]);
  });

  it('makes, changes and removes many thousands without holding the event loop up', async () => {
    const base = parseInnerIp('10.0.0.0') as InnerIp;
    const prefixes = Array.from({ length: MANY }, (_, n) => ({
      ip: addToIp(base, n),
      length: 32,
    }));
    const routes = new PeerRoutes(netlink);
    let turns = 0;
    const turning = setInterval(() => (turns += 1), 1);
    const set = (mtu: number) => routes.set(new Map([[ANN, { device: t0, prefixes, mtu }]]));
    await set(1300);
    expect(run('ip route show dev t0 | wc -l').trim()).toBe(String(MANY));
    await set(1200);
    expect(run('ip route show dev t0 | grep -c "mtu 1200"').trim()).toBe(String(MANY));
    expect(await routes.reconcile(t0)).toEqual({ mended: 0, failures: [] });
    await routes.remove([ANN]);
    clearInterval(turning);
    expect(turns).toBeGreaterThan(30);
    expect(run('ip route show dev t0')).toBe('');
  });
});

describe('PeerRoutes of IPv6', () => {
  const METRIC = 4_000_010_000;
  const [own, site] = [prefix('fd28::2/128'), prefix('fd99::/64')];
  const v4 = prefix('10.1.0.0/16');

  function unreachable(...texts: readonly string[]): readonly string[] {
    return texts.map((text) => `unreachable ${text} dev lo metric ${METRIC}`);
  }

  function make(): PeerRoutes {
    return new PeerRoutes(netlink, new UnreachableRoutes(netlink, port(10_000)));
  }

  it('makes, changes, takes over, mends and removes as of IPv4', async () => {
    const routes = make();
    run('ip -6 route add fd99::/64 dev t0 mtu 1400');
    const set = (mtu: number | undefined) =>
      routes.set(new Map([[ANN, { device: t0, prefixes: [v4, own, site], mtu }]]));
    expect(await set(undefined)).toEqual([]);
    expect(shown(6)).toEqual([
      'fd28::2 dev t0 metric 1024 linkdown',
      'fd99::/64 dev t0 metric 1024 linkdown',
    ]);
    expect(await set(1300)).toEqual([]);
    expect(shown(6)).toEqual([
      'fd28::2 dev t0 metric 1024 linkdown mtu 1300',
      'fd99::/64 dev t0 metric 1024 linkdown mtu 1300',
    ]);
    run('ip -6 route del fd28::2; ip -6 route add fd9a::/64 dev t0 proto 148');
    const again = make();
    await again.recall(t0);
    await again.set(new Map([[ANN, { device: t0, prefixes: [v4, own, site], mtu: 1300 }]]));
    expect(await again.reconcile(t0)).toEqual({ mended: 1, failures: [] });
    expect(shown(6)).toHaveLength(2);
    await again.remove([ANN]);
    expect([...shown(), ...shown(6)]).toEqual([]);
  });

  it("leaves a stranger's route alone", async () => {
    run('ip -6 route add fd99::/64 dev t1');
    const routes = make();
    const wanted = new Map([[ANN, { device: t0, prefixes: [own, site], mtu: undefined }]]);
    expect(await routes.set(wanted)).toMatchObject([{ prefix: site, error: { errno: 'EEXIST' } }]);
    expect(shown(6)).toEqual(['fd28::2 dev t0 metric 1024 linkdown']);
  });

  it('is unreachable while the way takes less than IPv6 needs, which is told once', async () => {
    const routes = make();
    const set = (mtu: number | undefined) =>
      routes.set(new Map([[ANN, { device: t0, prefixes: [v4, own, site], mtu }]]));
    expect(await set(1280)).toEqual([]);
    expect(shown(6)).toHaveLength(2);
    const told = await set(1279);
    expect(told).toMatchObject([{ prefix: own }]);
    expect(told[0]?.error.message).toMatch(/takes packets of 1279 bytes, and IPv6 needs 1280/);
    expect(await set(1200)).toEqual([]);
    expect(shown(6)).toEqual(unreachable('fd28::2', 'fd99::/64'));
    expect(shown()).toEqual(['10.1.0.0/16 dev t0 scope link linkdown mtu 1200']);
    run('ip -6 route del unreachable fd99::/64');
    expect(await routes.reconcile(t0)).toEqual({ mended: 1, failures: [] });
    expect(shown(6)).toEqual(unreachable('fd28::2', 'fd99::/64'));
    expect(await set(1280)).toEqual([]);
    expect(shown(6)).toEqual([
      'fd28::2 dev t0 metric 1024 linkdown mtu 1280',
      'fd99::/64 dev t0 metric 1024 linkdown mtu 1280',
    ]);
    expect(await set(1279)).toHaveLength(1);
    await routes.remove([ANN]);
    expect(shown(6)).toEqual([]);
  });

  it('has nothing left of a run that was killed, and takes away its own', async () => {
    await make().set(new Map([[ANN, { device: t0, prefixes: [own, site], mtu: 1200 }]]));
    const routes = make();
    await routes.set(new Map([[ANN, { device: t0, prefixes: [own], mtu: 1200 }]]));
    expect(shown(6)).toEqual(unreachable('fd28::2'));
    await routes.close();
    expect(shown(6)).toEqual([]);
  });

  it('says so to who sends', async () => {
    await make().set(new Map([[ANN, { device: t0, prefixes: [site], mtu: 1200 }]]));
    expect(run('ping -6 -c1 -W1 fd99::1 2>&1 || true')).toMatch(/No route to host|unreachable/i);
  });
});

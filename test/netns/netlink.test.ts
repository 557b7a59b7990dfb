/*
 *   one namespace:   lo   d0 192.0.2.1/24 2001:db8::1/64 <- veth -> d1
 */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { openHostNetwork } from '../../src/adapters/host-network.ts';
import { deleteConntrack, type ConntrackEntry } from '../../src/adapters/netlink/conntrack.ts';
import { openFouNetlink } from '../../src/adapters/netlink/fou.ts';
import { watchRoutes, type RouteEvent } from '../../src/adapters/netlink/monitor.ts';
import {
  openRouteNetlink,
  type LinkStats,
  type RouteNetlink,
} from '../../src/adapters/netlink/route.ts';
import { parseOuterIp, type OuterIp } from '../../src/core/addr.ts';
import type { IfIndex } from '../../src/core/units.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { succeeds } from '../rig/patience.ts';

const NS = `ipipou-nl-${process.pid}`;

function run(script: string): string {
  const command = ['netns', 'exec', NS, 'bash', '-ec', script];
  return execFileSync('ip', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function ipJson(command: string): readonly Record<string, unknown>[] {
  return JSON.parse(run(`ip -j ${command}`)) as readonly Record<string, unknown>[];
}

function addr(text: string): OuterIp {
  const ip = parseOuterIp(text);
  if (ip === undefined) throw new Error(text);
  return ip;
}

async function indexOf(route: RouteNetlink, name: string): Promise<IfIndex> {
  const link = await route.linkByName(name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link.index;
}

async function countersOf(route: RouteNetlink, name: string): Promise<LinkStats> {
  const stats = (await route.linkByName(name))?.stats;
  if (stats === undefined) throw new Error(`no counters of ${name}`);
  return stats;
}

function open(): RouteNetlink {
  return inNamespace(NS, openRouteNetlink);
}

beforeAll(() => {
  execFileSync('ip', ['netns', 'add', NS]);
});

afterAll(() => {
  execFileSync('ip', ['netns', 'del', NS]);
});

beforeEach(() => {
  for (const { ifname } of ipJson('link show type veth')) {
    if (ifname === 'd0') run('ip link del d0');
  }
  run('ip link set lo up');
  run('ip link add d0 type veth peer name d1');
  run('ip addr add 192.0.2.1/24 dev d0');
  run('ip link set d0 addrgenmode none; ip link set d1 addrgenmode none');
  run('ip addr add 2001:db8::1/64 dev d0 nodad');
  run('ip link set d1 up');
  run('ip link set d0 up');
});

describe('links', () => {
  it('are listed as ip lists them', async () => {
    using route = open();
    const links = await route.links();
    const expected = ipJson('-d link show').map((link) => ({
      index: link['ifindex'],
      name: link['ifname'],
      mtu: link['mtu'],
      kind: (link['linkinfo'] as { info_kind: string } | undefined)?.info_kind,
      up: (link['flags'] as readonly string[]).includes('UP'),
    }));
    expect(links.map(({ index, name, mtu, kind, up }) => ({ index, name, mtu, kind, up }))).toEqual(
      expected,
    );
  });

  it('are found by name and index, and not found without failing', async () => {
    using route = open();
    const index = await indexOf(route, 'd0');
    expect(await route.linkByIndex(index)).toMatchObject({ name: 'd0', kind: 'veth', up: true });
    expect(await route.linkByName('nosuch0')).toBeUndefined();
    expect(await route.linkByIndex(9999 as IfIndex)).toBeUndefined();
  });

  it('are made, changed and removed, removing twice without failing', async () => {
    using route = open();
    const index = await route.addLink({ name: 'br9', kind: 'bridge', mtu: 1400 });
    expect(await route.linkByName('br9')).toMatchObject({
      index,
      kind: 'bridge',
      up: false,
      mtu: 1400,
    });
    await route.setLink(index, { up: true, mtu: 1300 });
    expect(await route.linkByIndex(index)).toMatchObject({ up: true, mtu: 1300 });
    await route.setLink(index, { up: false });
    await route.setLink(index, { name: 'br8' });
    expect(await route.linkByIndex(index)).toMatchObject({ up: false, mtu: 1300, name: 'br8' });
    await route.removeLink(index);
    expect(await route.linkByName('br8')).toBeUndefined();
    await route.removeLink(index);
  });

  it('count what passes', async () => {
    using route = open();
    const before = await countersOf(route, 'd1');
    // The question for the address (ARP) is what passes.
    run('echo > /dev/udp/192.0.2.77/9');
    await succeeds(async () => {
      const after = await countersOf(route, 'd1');
      expect(after.rxPackets).toBeGreaterThan(before.rxPackets);
      expect(after.rxBytes).toBeGreaterThanOrEqual(before.rxBytes + 28n);
      expect((await countersOf(route, 'd0')).txPackets).toBe(after.rxPackets);
    });
  });

  it("are refused in the kernel's words", async () => {
    using route = open();
    const index = await indexOf(route, 'd0');
    await expect(route.setLink(index, { mtu: 1 << 20 })).rejects.toMatchObject({
      operation: 'RTM_NEWLINK',
      errno: 'EINVAL',
      words: 'mtu greater than device maximum',
      subject: `link ${index}`,
      exit: 'link',
    });
    await expect(route.addLink({ name: 'd0', kind: 'veth' })).rejects.toMatchObject({
      errno: 'EEXIST',
      subject: 'link d0',
    });
    await expect(route.addLink({ name: 'x0', kind: 'nosuchkind' })).rejects.toMatchObject({
      errno: 'EOPNOTSUPP',
      words: 'Unknown device type',
    });
  });
});

describe('addresses', () => {
  it('are added with a peer and a scope, seen by ip, listed and removed', async () => {
    using route = open();
    const index = await indexOf(route, 'd0');
    const plain = { index, ip: addr('198.51.100.1'), prefix: 25 };
    const peered = { index, ip: addr('172.28.0.0'), peer: addr('172.28.0.1'), prefix: 32 };
    await route.addAddress({ ...plain, noPrefixRoute: true, protocol: 77 });
    await route.addAddress({ ...peered, scope: 'link' });
    expect(run('ip -4 -o addr show dev d0')).toMatch(
      /172\.28\.0\.0 peer 172\.28\.0\.1\/32 scope link/,
    );
    const byIp = (await route.addresses({ index, family: 'ipv4' })).toSorted((a, b) =>
      a.ip < b.ip ? -1 : 1,
    );
    expect(byIp).toMatchObject([
      { ip: '172.28.0.0', peer: '172.28.0.1', prefix: 32, scope: 'link' },
      { ip: '192.0.2.1', peer: undefined, prefix: 24, scope: 'global' },
      { ip: '198.51.100.1', peer: undefined, prefix: 25, scope: 'global', protocol: 77 },
    ]);
    expect(await route.routes({ destination: addr('198.51.100.0') })).toEqual([]);
    await route.removeAddress(plain);
    await route.removeAddress(peered);
    await route.removeAddress(peered);
    expect((await route.addresses({ index, family: 'ipv4' })).map(({ ip }) => ip)).toEqual([
      '192.0.2.1',
    ]);
  });

  it('of IPv6 are used at once, are seen by ip, listed and removed', async () => {
    using route = open();
    const index = await indexOf(route, 'd0');
    const own = { index, ip: addr('fd28::1'), prefix: 128 };
    await route.addAddress({ ...own, noDad: true, noPrefixRoute: true });
    expect(run('ip -6 -o addr show dev d0')).toMatch(
      /fd28::1\/128 scope global nodad noprefixroute/,
    );
    expect(await route.routes({ destination: own.ip, table: 254 })).toEqual([]);
    const found = await route.addresses({ index, family: 'ipv6' });
    expect(found.map(({ ip, prefix, peer, scope }) => ({ ip, prefix, peer, scope }))).toEqual([
      { ip: 'fd28::1', prefix: 128, peer: undefined, scope: 'global' },
      { ip: '2001:db8::1', prefix: 64, peer: undefined, scope: 'global' },
    ]);
    await route.removeAddress(own);
    await route.removeAddress(own);
    expect((await route.addresses({ index })).map(({ ip }) => ip)).toEqual([
      '192.0.2.1',
      '2001:db8::1',
    ]);
  });

  it('of all links are listed without a filter', async () => {
    using route = open();
    expect((await route.addresses()).map(({ ip }) => ip).toSorted()).toEqual([
      '127.0.0.1',
      '192.0.2.1',
      '2001:db8::1',
      '::1',
    ]);
  });

  it('of a link that is not there are none', async () => {
    using route = open();
    expect(await route.addresses({ index: 9999 as IfIndex })).toEqual([]);
  });

  it('are refused as addresses', async () => {
    using route = open();
    const index = await indexOf(route, 'd0');
    await expect(
      route.addAddress({ index, ip: addr('192.0.2.1'), prefix: 24 }),
    ).rejects.toMatchObject({
      operation: 'RTM_NEWADDR',
      errno: 'EEXIST',
      subject: `address 192.0.2.1/24 of link ${index}`,
      exit: 'address',
    });
  });
});

describe('routes', () => {
  it('are looked up with source, device and MTU', async () => {
    using route = open();
    const oif = await indexOf(route, 'd0');
    run('ip route add default via 192.0.2.254 mtu 1280');
    expect(await route.routeTo(addr('203.0.113.9'))).toEqual({
      source: '192.0.2.1',
      oif,
      gateway: '192.0.2.254',
      mtu: 1280,
    });
    expect(await route.routeTo(addr('192.0.2.9'), { oif })).toEqual({
      source: '192.0.2.1',
      oif,
      gateway: undefined,
      mtu: undefined,
    });
  });

  it('of IPv6 are looked up with source, device and MTU', async () => {
    using route = open();
    const oif = await indexOf(route, 'd0');
    run('ip -6 route add default via 2001:db8::fe mtu 1300');
    const answer = { source: '2001:db8::1', oif, gateway: '2001:db8::fe', mtu: 1300 };
    expect(await route.routeTo(addr('2001:db8:1::7'))).toEqual(answer);
    expect(await route.routeTo(addr('2001:db8:1::7'), { oif })).toEqual(answer);
    expect(await route.ownMtu(addr('2001:db8:1::7'))).toBe(1300);
    expect(await route.routeTo(addr('2001:db8::7'))).toEqual({
      source: '2001:db8::1',
      oif,
      gateway: undefined,
      mtu: undefined,
    });
    expect(await route.ownMtu(addr('2001:db8::7'))).toBe(1500);
    run('ip route add 198.51.100.0/24 via inet6 2001:db8::fe dev d0');
    expect(await route.routeTo(addr('198.51.100.7'))).toMatchObject({
      source: '192.0.2.1',
      gateway: '2001:db8::fe',
    });
  });

  it.each([
    ['nothing', ''],
    ['unreachable', 'ip -6 route add unreachable 2001:db8:2::/64'],
    ['prohibit', 'ip -6 route add prohibit 2001:db8:2::/64'],
    ['blackhole', 'ip -6 route add blackhole 2001:db8:2::/64'],
    ['no IPv6', 'sysctl -qw net.ipv6.conf.all.disable_ipv6=1'],
  ])('of IPv6 that lead nowhere (%s) give no answer', async (_, command) => {
    using route = open();
    if (command !== '') run(command);
    expect(await route.routeTo(addr('2001:db8:2::9'))).toBeUndefined();
    expect(await route.ownMtu(addr('2001:db8:2::9'))).toBeUndefined();
    if (command !== '') run(command.replace(' add ', ' del ').replace('=1', '=0'));
  });

  it('of IPv6 are added, replaced, listed by filter and removed', async () => {
    using route = open();
    const oif = await indexOf(route, 'd0');
    const spec = { destination: addr('fd99::'), prefix: 64, oif, protocol: 77 };
    const expected = {
      ...{ ...spec, gateway: undefined, source: undefined, priority: 1024, table: 254 },
      ...{ scope: 'global', type: 'unicast', mtu: undefined, cloned: false },
    };
    await route.addRoute(spec);
    expect(await route.routes({ protocol: 77, oif })).toEqual([expected]);
    await expect(route.addRoute(spec)).rejects.toMatchObject({
      errno: 'EEXIST',
      subject: 'route to fd99::/64',
    });
    await route.replaceRoute({ ...spec, mtu: 1300 });
    expect(await route.routes({ protocol: 77 })).toEqual([{ ...expected, mtu: 1300 }]);
    expect(await route.routes({ protocol: 77, family: 'ipv4' })).toEqual([]);
    const failures = await route.changeRoutes([
      {
        kind: 'create',
        spec: { ...spec, destination: addr('fd9a::'), oif: undefined, type: 'unreachable' },
      },
      { kind: 'create', spec: { ...spec, destination: addr('203.0.113.0'), prefix: 24 } },
      { kind: 'remove', spec },
      { kind: 'remove', spec },
    ]);
    expect(failures).toEqual([]);
    expect(await route.routes({ protocol: 77 })).toMatchObject([
      { destination: '203.0.113.0', prefix: 24, oif },
      { destination: 'fd9a::', prefix: 64, type: 'unreachable', priority: 1024 },
    ]);
    run('ip -6 route del fd9a::/64; ip route del 203.0.113.0/24');
  });

  it('of IPv6 that hold IPv4-mapped networks are not taken for those of IPv4', async () => {
    using route = open();
    run('ip -6 route add unreachable ::ffff:0.0.0.0/96');
    expect(await route.routes({ table: 254, destination: addr('0.0.0.0') })).toEqual([]);
    run('ip -6 route del unreachable ::ffff:0.0.0.0/96');
  });

  it.each([
    ['nothing', ''],
    ['unreachable', 'ip route add unreachable 203.0.113.0/24'],
    ['prohibit', 'ip route add prohibit 203.0.113.0/24'],
    ['blackhole', 'ip route add blackhole 203.0.113.0/24'],
  ])('that lead nowhere (%s) give no answer', async (_, command) => {
    using route = open();
    if (command !== '') run(command);
    expect(await route.routeTo(addr('203.0.113.9'))).toBeUndefined();
    if (command !== '') run(command.replace('add', 'del'));
  });

  it('are added, replaced, listed by filter and removed', async () => {
    using route = open();
    const oif = await indexOf(route, 'd0');
    const spec = {
      destination: addr('203.0.113.0'),
      prefix: 24,
      gateway: addr('192.0.2.254'),
      source: addr('192.0.2.1'),
      oif,
      protocol: 77,
      priority: 5,
      table: 100_000,
    };
    await route.addRoute({ ...spec, mtu: 1300 });
    expect(ipJson('route show table 100000')).toMatchObject([
      { dst: '203.0.113.0/24', gateway: '192.0.2.254', protocol: '77', metric: 5 },
    ]);
    await expect(route.addRoute(spec)).rejects.toMatchObject({
      operation: 'RTM_NEWROUTE',
      errno: 'EEXIST',
      subject: 'route to 203.0.113.0/24',
      exit: 'generic',
    });
    await route.replaceRoute({ ...spec, mtu: 1350 });
    expect(await route.routes({ table: 100_000 })).toEqual([
      { ...spec, mtu: 1350, scope: 'global', type: 'unicast', cloned: false },
    ]);
    expect(await route.routes({ protocol: 77, oif })).toHaveLength(1);
    expect(await route.routes({ protocol: 78 })).toEqual([]);
    const { table, destination, prefix } = spec;
    await route.removeRoute({ table, destination, prefix });
    await route.removeRoute({ table, destination, prefix });
    expect(await route.routes({ table })).toEqual([]);
    expect(await route.routes({ table: 4242 })).toEqual([]);
  });

  it('of the main table are what ip shows', async () => {
    using route = open();
    const oif = await indexOf(route, 'd0');
    await route.addRoute({ destination: addr('0.0.0.0'), prefix: 0, oif });
    const main = await route.routes({ table: 254, family: 'ipv4' });
    expect(main.map(({ destination, prefix }) => `${destination}/${prefix}`)).toEqual([
      '0.0.0.0/0',
      '192.0.2.0/24',
    ]);
    expect(main[0]).toMatchObject({ scope: 'link', protocol: 4 });
  });

  it("are refused in the kernel's words", async () => {
    using route = open();
    await expect(
      route.addRoute({ destination: addr('203.0.113.0'), prefix: 24, gateway: addr('8.8.8.8') }),
    ).rejects.toMatchObject({ errno: 'ENETUNREACH', words: 'Nexthop has invalid gateway' });
  });
});

describe('watchRoutes', () => {
  it('tells of links, addresses and routes that come and go', async () => {
    const events: RouteEvent[] = [];
    using watch = inNamespace(NS, () => watchRoutes((event) => events.push(event)));
    expect(watch).toBeDefined();
    run('ip addr add 198.51.100.1/24 dev d0');
    run('ip addr add 2001:db8:3::1/64 dev d0 nodad');
    run('ip link set d0 mtu 1400');
    run('ip link del d0');
    await succeeds(() => {
      expect(events).toContainEqual(
        expect.objectContaining({ kind: 'link', change: 'delete', name: 'd0' }),
      );
    });
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'address', change: 'new', ip: '198.51.100.1', prefix: 24 }),
    );
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'address', change: 'delete', ip: '198.51.100.1' }),
    );
    expect(events).toContainEqual(
      expect.objectContaining({
        kind: 'route',
        change: 'new',
        destination: '198.51.100.0',
        prefix: 24,
        table: 254,
      }),
    );
    for (const change of ['new', 'delete']) {
      const address = { kind: 'address', change, ip: '2001:db8:3::1', prefix: 64 };
      expect(events).toContainEqual(expect.objectContaining(address));
    }
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'route', change: 'new', destination: '2001:db8:3::' }),
    );
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'link', change: 'new', name: 'd0', mtu: 1400, up: true }),
    );
  });

  it('does not take a port that leaves a bridge for a deleted link', async () => {
    run('ip link add br9 type bridge');
    run('ip link set d0 master br9');
    const events: RouteEvent[] = [];
    using watch = inNamespace(NS, () => watchRoutes((event) => events.push(event)));
    expect(watch).toBeDefined();
    run('ip link set d0 nomaster');
    run('ip link del br9');
    await succeeds(() => {
      expect(events).toContainEqual(
        expect.objectContaining({ kind: 'link', change: 'delete', name: 'br9' }),
      );
    });
    expect(events).not.toContainEqual(
      expect.objectContaining({ kind: 'link', change: 'delete', name: 'd0' }),
    );
  });
});

describe('openHostNetwork', () => {
  it('knows addresses and ways out, and takes a global address first', async () => {
    run('ip addr add 172.28.0.0 peer 172.28.0.1/32 dev d0 scope link');
    using host = inNamespace(NS, () => openHostNetwork());
    expect(await host.firstAddress('d0')).toBe('192.0.2.1');
    expect(await host.firstAddress('d1')).toBeUndefined();
    expect(await host.firstAddress('nosuch0')).toBeUndefined();
    expect(await host.routeTo(addr('192.0.2.9'), undefined)).toEqual({
      source: '192.0.2.1',
      device: 'd0',
      mtu: 1500,
    });
    expect(await host.routeTo(addr('192.0.2.9'), 'd0')).toMatchObject({ device: 'd0' });
    expect(await host.routeTo(addr('192.0.2.9'), 'nosuch0')).toBeUndefined();
    for (const device of [undefined, 'd0']) {
      expect(await host.routeTo(addr('203.0.113.9'), device)).toBeUndefined();
    }
    run('ip route add 203.0.113.0/24 dev d0');
    expect(await host.routeTo(addr('203.0.113.9'), 'd0')).toMatchObject({ device: 'd0' });
  });

  it('knows ways out over IPv6, and none from an address that is of one link only', async () => {
    using host = inNamespace(NS, () => openHostNetwork());
    const way = { source: '2001:db8::1', device: 'd0', mtu: 1500 };
    expect(await host.routeTo(addr('2001:db8::9'), undefined)).toEqual(way);
    expect(await host.routeTo(addr('2001:db8::9'), 'd0')).toEqual(way);
    expect(await host.routeTo(addr('2001:db8:2::9'), undefined)).toBeUndefined();
    run('ip addr del 192.0.2.1/24 dev d0; ip addr add fe80::1/64 dev d0 nodad');
    expect(await host.firstAddress('d0')).toBeUndefined();
    run('ip addr del 2001:db8::1/64 dev d0; ip -6 route add default dev d0');
    expect(await host.routeTo(addr('2001:db8:2::9'), undefined)).toBeUndefined();
  });

  it('hears of IPv6', async () => {
    using host = inNamespace(NS, () => openHostNetwork());
    const heard = vi.fn();
    host.onChange(heard);
    run('ip -6 route add 2001:db8:5::/64 via 2001:db8::fe');
    await succeeds(() => expect(heard).toHaveBeenCalled());
    heard.mockClear();
    run('ip addr add 2001:db8:6::1/64 dev d0 nodad');
    await succeeds(() => expect(heard).toHaveBeenCalled());
  });

  it('says once that much changed, again when more does, and nothing after stopping', async () => {
    run('ip link del d0'); // a link that has just come up has more to say later
    using host = inNamespace(NS, () => openHostNetwork());
    const [stopped, heard] = [vi.fn(), vi.fn()];
    host.onChange(stopped)();
    host.onChange(heard);
    run('for i in 1 2 3 4 5; do ip addr add 127.1.0.$i/32 dev lo; done');
    await succeeds(() => {
      expect(heard).toHaveBeenCalledTimes(1);
    });
    run('for i in 1 2 3 4 5; do ip addr del 127.1.0.$i/32 dev lo; done');
    await succeeds(() => {
      expect(heard).toHaveBeenCalledTimes(2);
    });
    expect(stopped).not.toHaveBeenCalled();
  });
});

describe('conntrack', () => {
  it('forgets the UDP connections that are picked, and only those', async () => {
    run('conntrack -I -p udp -s 192.0.2.1 -d 192.0.2.9 --sport 1000 --dport 10000 -t 60');
    run('conntrack -I -p udp -s 192.0.2.1 -d 192.0.2.9 --sport 1000 --dport 10001 -t 60');
    const seen: ConntrackEntry[] = [];
    const deleted = await inNamespaceAsync((entry) => {
      seen.push(entry);
      return entry.original.destinationPort === 10000;
    });
    expect(deleted).toBe(1);
    expect(new Set(seen.map(({ reply }) => reply.sourcePort))).toEqual(new Set([10000, 10001]));
    expect(run('conntrack -L -p udp')).toMatch(/dport=10001/);
    expect(run('conntrack -L -p udp')).not.toMatch(/dport=10000/);
  });
});

/** deleteConntrack opens its socket before it first waits. */
async function inNamespaceAsync(predicate: (entry: ConntrackEntry) => boolean): Promise<number> {
  const { done } = inNamespace(NS, () => ({ done: deleteConntrack(predicate) }));
  return done;
}

it('lists FOU listeners, or says that the kernel has no FOU and what to do', async () => {
  using fou = inNamespace(NS, openFouNetlink);
  const hasFou = /Name: fou\b/.test(run('genl ctrl list'));
  const missing = {
    operation: 'CTRL_CMD_GETFAMILY',
    errno: 'ENOENT',
    exit: 'fou',
    hint: 'load the kernel module: modprobe fou',
  };
  const answer = await fou.list().catch((error: unknown) => error);
  expect(answer).toMatchObject(hasFou ? [] : missing);
});

/* Topology: the drawing in test/rig/veth-scene.ts. */
import { describe, expect, it } from 'vitest';
import type { IfIndex } from '../../src/core/units.ts';
import { succeeds } from '../rig/patience.ts';
import { addr, countersOf, indexOf, ipJson, open, run, vethScene } from '../rig/veth-scene.ts';

vethScene();

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

/* What is told of changes, and what is asked of the whole host. Topology: the drawing in test/rig/veth-scene.ts. */
import { describe, expect, it, vi } from 'vitest';
import { openHostNetwork } from '../../src/adapters/host-network.ts';
import { deleteConntrack, type ConntrackEntry } from '../../src/adapters/netlink/conntrack.ts';
import { openFouNetlink } from '../../src/adapters/netlink/fou.ts';
import { watchRoutes, type RouteEvent } from '../../src/adapters/netlink/monitor.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { succeeds } from '../rig/patience.ts';
import { addr, NS, run, vethScene } from '../rig/veth-scene.ts';

vethScene();

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

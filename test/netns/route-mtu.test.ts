/*
 *   host: d0 192.0.2.1/24 ---- d1 192.0.2.254/24 :router: e0 203.0.113.1/24, MTU 1000 ---- e1
 *         d0 2001:db8::1/64 -- d1 2001:db8::fe/64         f0 2001:db8:7::1/64, MTU 1300 -- f1
 */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openHostNetwork } from '../../src/adapters/host-network.ts';
import { openRouteNetlink } from '../../src/adapters/netlink/route.ts';
import type { OuterIp } from '../../src/core/addr.ts';
import { inNamespace } from '../rig/in-namespace.ts';

const [HOST, ROUTER] = [`ipipou-rm-${process.pid}-h`, `ipipou-rm-${process.pid}-r`];
const THERE = '203.0.113.9' as OuterIp;
const THERE6 = '2001:db8:7::9' as OuterIp;

function run(namespace: string, script: string): string {
  const command = ['netns', 'exec', namespace, 'bash', '-ec', script];
  return execFileSync('ip', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

beforeAll(() => {
  for (const name of [HOST, ROUTER]) execFileSync('ip', ['netns', 'add', name]);
  run(
    HOST,
    `ip link set lo up; ip link add d0 type veth peer name d1 netns ${ROUTER}
     ip addr add 192.0.2.1/24 dev d0; ip addr add 2001:db8::1/64 dev d0 nodad; ip link set d0 up`,
  );
  run(
    ROUTER,
    `ip link set lo up; ip addr add 192.0.2.254/24 dev d1; ip link set d1 up
     ip link add e0 mtu 1000 type veth peer name e1
     ip addr add 203.0.113.1/24 dev e0; ip link set e1 up; ip link set e0 up
     ip link add f0 mtu 1300 type veth peer name f1; ip addr add 2001:db8::fe/64 dev d1 nodad
     ip addr add 2001:db8:7::1/64 dev f0 nodad; ip link set f1 up; ip link set f0 up
     sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`,
  );
  run(
    HOST,
    `ip route add 203.0.113.0/24 via 192.0.2.254 mtu 1400
     ip route add 198.51.100.0/24 via 192.0.2.254
     ip route add 2001:db8:7::/64 via 2001:db8::fe mtu 1400
     ip route add 2001:db8:8::/64 via 2001:db8::fe`,
  );
});

afterAll(() => {
  for (const name of [HOST, ROUTER]) execFileSync('ip', ['netns', 'del', name]);
});

it("knows the route's own MTU apart from what ICMP has taught of the path", async () => {
  // The router answers "fragmentation needed"; ping fails, which is all the same.
  run(HOST, 'ping -c 1 -W 1 -M do -s 1300 203.0.113.9 || true');
  using route = inNamespace(HOST, openRouteNetlink);
  expect((await route.routeTo(THERE))?.mtu).toBe(1000);
  expect(await route.ownMtu(THERE)).toBe(1400);
  expect(await route.ownMtu('198.51.100.9' as OuterIp)).toBe(1500);
  expect(await route.ownMtu('8.8.8.8' as OuterIp)).toBeUndefined();
  using host = inNamespace(HOST, openHostNetwork);
  expect(await host.routeTo(THERE, undefined)).toMatchObject({ source: '192.0.2.1', mtu: 1400 });
});

it('of IPv6, too', async () => {
  run(HOST, 'ping -6 -c 1 -W 1 -M do -s 1340 2001:db8:7::9 || true');
  using route = inNamespace(HOST, openRouteNetlink);
  expect((await route.routeTo(THERE6))?.mtu).toBe(1300);
  expect(await route.ownMtu(THERE6)).toBe(1400);
  expect(await route.ownMtu('2001:db8:8::9' as OuterIp)).toBe(1500);
  expect(await route.ownMtu('2001:db8:9::9' as OuterIp)).toBeUndefined();
  using host = inNamespace(HOST, openHostNetwork);
  expect(await host.routeTo(THERE6, undefined)).toMatchObject({ source: '2001:db8::1', mtu: 1400 });
});

it('takes a route by several gateways for a route, of which the kernel names no device', async () => {
  run(
    HOST,
    `ip link add g0 type veth peer name g1; ip addr add 198.18.0.1/24 dev g0
     ip addr add 2001:db8:18::1/64 dev g0 nodad; ip link set g1 up; ip link set g0 up
     ip route add 198.19.0.0/24 nexthop via 192.0.2.254 nexthop via 198.18.0.254
     ip route add 2001:db8:19::/64 nexthop via 2001:db8::fe nexthop via 2001:db8:18::fe`,
  );
  using host = inNamespace(HOST, openHostNetwork);
  const mtu = 1500;
  expect(await host.routeTo('198.19.0.9' as OuterIp, undefined)).toMatchObject({ mtu });
  expect(await host.routeTo('198.19.0.9' as OuterIp, 'd0')).toMatchObject({ mtu });
  expect(await host.routeTo('2001:db8:19::9' as OuterIp, undefined)).toMatchObject({ mtu });
});

import { expect, test } from 'vitest';
import type { RouteNetlink } from '../../../src/adapters/netlink/route.ts';
import { allowedMtu } from '../../../src/adapters/planes/inner-mtu.ts';
import { PathMtus } from '../../../src/adapters/planes/tun/path-mtus.ts';
import type { KnownPeer } from '../../../src/adapters/planes/tun/known-peers.ts';
import { port } from '../../../src/core/units.ts';
import { ip } from '../../rig/addresses.ts';
import { resolveRun } from '../config/resolve-texts.ts';

/** A host on Ethernet. */
const route = {
  routeTo: async () => ({ oif: 2 }),
  linkByIndex: async () => ({ mtu: 1500 }),
} as unknown as RouteNetlink;
const ONE = ip('192.0.2.1');
const ONE6 = ip('2001:db8::1');

test.each([
  { mtu: 'auto', remote: ONE, allowed: 1472 },
  { mtu: 'auto', remote: ONE6, allowed: 1452 },
  { mtu: '1472', remote: ONE, allowed: 1472 },
  { mtu: '1472', remote: ONE6, allowed: 1452 },
  { mtu: '1400', remote: ONE6, allowed: 1400 },
  { mtu: '8000', remote: ONE, allowed: 8000 },
])('mtu $mtu allows $allowed to $remote', async ({ mtu, remote, allowed }) => {
  const { config } = resolveRun(`server\nmtu ${mtu}`);
  expect(await allowedMtu(route, remote, config)).toBe(allowed);
});

test('on tun the routes to a peer over IPv6 have less than a device whose MTU was given for IPv4', async () => {
  const { config } = resolveRun('server\nmtu 1472');
  const mtus = new PathMtus(route, config);
  const path = { local: { ip: ONE6, port: port(1) }, remote: { ip: ONE6, port: port(2) } };
  const peer = { path, limit: undefined, mtu: undefined } as KnownPeer;
  await mtus.look(peer);
  expect([mtus.device, mtus.ofRoutes(peer)]).toEqual([1472, 1452]);
});

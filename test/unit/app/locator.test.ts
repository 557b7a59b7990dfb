import { describe, expect, test } from 'vitest';
import { createLocator } from '../../../src/app/locator.ts';
import type { OuterIp } from '../../../src/core/addr.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { resolveConfig } from '../../../src/core/config/resolve.ts';
import type { OuterConfig } from '../../../src/core/config/tunnel-config.ts';
import type { OutwardRoute } from '../../../src/ports/host-network.ts';
import { ip } from './fakes.ts';

const four = ip('198.51.100.1');
const six = ip('2001:db8::1');
const local4 = ip('192.0.2.1');
const local6 = ip('2001:db8:c::2');
const ROUTES = new Map<OuterIp, OutwardRoute>([
  [four, { source: local4, device: 'eth0', mtu: 1500 }],
  [six, { source: local6, device: 'eth0', mtu: 1400 }],
]);

/** The way to an address, with these outer options, routes, and addresses of `eth0`. */
function wayTo(
  remote: OuterIp,
  outer: Partial<OuterConfig> = {},
  routes: ReadonlyMap<OuterIp, OutwardRoute> = ROUTES,
) {
  const argv = ['--server', '--auth-token', 'a long enough token'];
  const resolved = resolveConfig({ commandLine: parseArguments(argv), files: [] });
  if (!('config' in resolved)) throw new Error(resolved.action);
  const { config } = resolved;
  const host = {
    firstAddress: async () => local4,
    routeTo: async (address: OuterIp) => routes.get(address),
  };
  return createLocator({ ...config, outer: { ...config.outer, ...outer } }, host)(remote);
}

describe('where a client’s packets leave from', () => {
  test.each([
    ['IPv4', four, local4, 1500],
    ['IPv6', six, local6, 1400],
  ])('is what the route says, of %s', async (_family, remote, local, mtu) => {
    expect(await wayTo(remote)).toEqual({ kind: 'way', local, routed: true, mtu });
  });

  test('is what the config says, of the family of the server’s address', async () => {
    const localIps = [ip('192.0.2.9'), ip('2001:db8:c::9')];
    expect(await wayTo(four, { localIps })).toMatchObject({ local: localIps[0], routed: true });
    expect(await wayTo(six, { localIps })).toMatchObject({ local: localIps[1], routed: true });
    expect(await wayTo(six, { localIps }, new Map())).toMatchObject({
      local: localIps[1],
      routed: false,
    });
  });

  test.each([
    ['fou-family', { family: 'ipv4' }, six, 'ipv6'],
    ['fou-family', { family: 'ipv6' }, four, 'ipv4'],
    ['fou-local-ip', { localIps: [local4] }, six, 'ipv6'],
  ] as const)('is nowhere where %s leaves the family out', async (_by, outer, remote, family) => {
    expect(await wayTo(remote, outer)).toEqual({ kind: 'not-wanted', family });
  });

  test('without a route is an address of fou-dev, but of IPv6 nowhere', async () => {
    const device = 'eth0';
    expect(await wayTo(four, { device }, new Map())).toMatchObject({
      local: local4,
      routed: false,
    });
    expect(await wayTo(six, { device }, new Map())).toEqual({ kind: 'missing', device });
    expect(await wayTo(six, {}, new Map())).toEqual({ kind: 'missing', device: undefined });
  });
});

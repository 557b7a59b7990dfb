import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outerIpv4FromNumber, type OuterIp } from '../../../src/core/addr.ts';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import {
  decodeRoute,
  encodeDelRoute,
  encodeGetRoutes,
  encodeNewRoute,
  encodeRouteLookup,
  type RouteSpec,
} from '../../../src/core/netlink/route.ts';
import { succeed } from '../../../src/core/result.ts';
import { ifIndex } from '../../../src/core/units.ts';
import { holdsAgainstBadBytes } from './decoder-checks.ts';
import { hex } from './hex.ts';

const HEADER = 12;
const spec: RouteSpec = {
  destination: '203.0.113.0' as OuterIp,
  prefix: 24,
  gateway: '192.0.2.254' as OuterIp,
  oif: ifIndex(3),
  source: '192.0.2.1' as OuterIp,
  priority: 5,
  mtu: 1300,
  table: 100_000,
  protocol: 77,
};

/* The literal bytes are those of ip (iproute2 6.1) on Linux 6.18, by strace; d0 is link 3. */
describe.runIf(HOST_IS_LITTLE_ENDIAN)('encoding', () => {
  it('adds as `ip route add 203.0.113.0/24 via 192.0.2.254 dev d0 src 192.0.2.1 metric 5 mtu 1300 table 100000 proto 77`', () => {
    expect(encodeNewRoute(spec, 'create')).toEqual({
      operation: 'RTM_NEWROUTE',
      type: 24,
      flags: 0x600,
      payload: hex(`02180000 004d0001 00000000
        0800 0100 cb007100  0800 0500 c00002fe  0800 0700 c0000201  0800 0600 05000000
        0800 0f00 a0860100  0800 0400 03000000  0c00 0800 0800 0200 14050000`),
    });
    expect(encodeNewRoute(spec, 'replace').flags).toBe(0x500);
  });

  it('removes as `ip route del 203.0.113.0/24 table 100000`', () => {
    const { destination, prefix, table } = spec;
    expect(encodeDelRoute({ destination, prefix, table })).toEqual({
      operation: 'RTM_DELROUTE',
      type: 25,
      flags: 0,
      payload: hex('02180000 0000ff00 00000000 0800 0100 cb007100  0800 0f00 a0860100'),
    });
  });

  it('looks up as `ip route get 198.51.100.7 oif d0`', () => {
    expect(encodeRouteLookup('198.51.100.7' as OuterIp, ifIndex(3))).toEqual({
      operation: 'RTM_GETROUTE',
      type: 26,
      flags: 0,
      payload: hex('02200000 00000000 00100000 0800 0100 c6336407  0800 0400 03000000'),
    });
    expect(encodeRouteLookup('198.51.100.7' as OuterIp, undefined).payload).toHaveLength(20);
    // With `fibmatch`.
    expect(encodeRouteLookup('198.51.100.7' as OuterIp, undefined, 'table').payload).toEqual(
      hex('02200000 00000000 00300000 0800 0100 c6336407'),
    );
  });

  it('asks as `ip route show table 100000`', () => {
    expect(encodeGetRoutes('ipv4', 100_000).payload).toEqual(
      hex('02000000 00000000 00000000 0800 0f00 a0860100'),
    );
    expect(encodeGetRoutes('ipv4', 254).payload).toEqual(hex('02000000 fe000000 00000000'));
    expect(encodeGetRoutes('ipv4', undefined).payload).toEqual(hex('02000000 00000000 00000000'));
  });

  it('adds as `ip route add 198.51.100.0/24 via inet6 2001:db8::fe dev d0 proto static`', () => {
    const via = {
      destination: '198.51.100.0',
      gateway: '2001:db8::fe',
      prefix: 24,
      oif: ifIndex(3),
    };
    expect(encodeNewRoute(via as RouteSpec, 'create').payload).toEqual(
      hex(`02180000 fe040001 00000000 0800 0100 c6336400
        1600 1200 0a00 20010db8 00000000 00000000 000000fe 0000  0800 0400 03000000`),
    );
  });

  it.each([
    ['a default route out of a device', { prefix: 0, oif: ifIndex(3) }, '02000000 fe04fd01'],
    ['a way through a gateway', { gateway: '192.0.2.254' as OuterIp }, '02180000 fe040001'],
    ['a local route', { type: 'local', table: 255 } as const, '02180000 ff04fe02'],
    ['an unreachable route', { type: 'unreachable' } as const, '02180000 fe040007'],
  ])('chooses table, scope and type for %s', (_, part, header) => {
    const { destination } = spec;
    const call = encodeNewRoute({ destination, prefix: 24, ...part }, 'create');
    expect(call.payload.subarray(0, 8)).toEqual(hex(header));
  });
});

const ipv6: RouteSpec = {
  destination: 'fd99::' as OuterIp,
  prefix: 64,
  gateway: '2001:db8::fe' as OuterIp,
  oif: ifIndex(3),
  source: '2001:db8::1' as OuterIp,
  priority: 5,
  mtu: 1300,
  table: 100_000,
  protocol: 77,
};

describe.runIf(HOST_IS_LITTLE_ENDIAN)('encoding, IPv6', () => {
  it('adds as `ip -6 route add fd99::/64 via 2001:db8::fe dev d0 src 2001:db8::1 metric 5 mtu 1300 table 100000 proto 77`', () => {
    expect(encodeNewRoute(ipv6, 'create')).toEqual({
      operation: 'RTM_NEWROUTE',
      type: 24,
      flags: 0x600,
      payload: hex(`0a400000 004d0001 00000000
        1400 0100 fd990000 00000000 00000000 00000000
        1400 0500 20010db8 00000000 00000000 000000fe
        1400 0700 20010db8 00000000 00000000 00000001  0800 0600 05000000
        0800 0f00 a0860100  0800 0400 03000000  0c00 0800 0800 0200 14050000`),
    });
  });

  it('replaces as `ip -6 route replace fd97::/64 dev d0 mtu 1400 proto boot`', () => {
    const spec = { destination: 'fd97::', prefix: 64, oif: ifIndex(3), mtu: 1400, protocol: 3 };
    expect(encodeNewRoute(spec as RouteSpec, 'replace')).toMatchObject({
      flags: 0x500,
      payload: hex(`0a400000 fe030001 00000000 1400 0100 fd970000 00000000 00000000 00000000
        0800 0400 03000000  0c00 0800 0800 0200 78050000`),
    });
  });

  it('adds as `ip -6 route add unreachable fd98::/64 proto 77`', () => {
    const spec = { destination: 'fd98::', prefix: 64, type: 'unreachable', protocol: 77 };
    expect(encodeNewRoute(spec as RouteSpec, 'create').payload).toEqual(
      hex('0a400000 fe4d0007 00000000 1400 0100 fd980000 00000000 00000000 00000000'),
    );
  });

  it('removes as `ip -6 route del fd99::/64 table 100000`', () => {
    const { destination, prefix, table } = ipv6;
    expect(encodeDelRoute({ destination, prefix, table }).payload).toEqual(
      hex(`0a400000 00000000 00000000 1400 0100 fd990000 00000000 00000000 00000000
        0800 0f00 a0860100`),
    );
  });

  it('looks up as `ip -6 route get 2001:db8:1::7 oif d0`, and with `fibmatch`', () => {
    const remote = '2001:db8:1::7' as OuterIp;
    expect(encodeRouteLookup(remote, ifIndex(3)).payload).toEqual(
      hex(`0a800000 00000000 00000000 1400 0100 20010db8 00010000 00000000 00000007
        0800 0400 03000000`),
    );
    expect(encodeRouteLookup(remote, undefined, 'table').payload).toEqual(
      hex('0a800000 00000000 00200000 1400 0100 20010db8 00010000 00000000 00000007'),
    );
  });

  it('asks as `ip -6 route show table 100000`', () => {
    expect(encodeGetRoutes('ipv6', 100_000).payload).toEqual(
      hex('0a000000 00000000 00000000 0800 0f00 a0860100'),
    );
  });
});

describe('decodeRoute', () => {
  it.runIf(HOST_IS_LITTLE_ENDIAN)('reads a table’s route', () => {
    const bytes = hex(`02180000 fc4d0001 00000000
      0800 0f00 a0860100  0800 0100 cb007100  0800 0600 05000000  0c00 0800 0800 0200 14050000
      0800 0700 c0000201  0800 0500 c00002fe  0800 0400 03000000`);
    expect(decodeRoute(bytes)).toEqual(
      succeed({ ...spec, scope: 'global', type: 'unicast', cloned: false }),
    );
  });

  it.runIf(HOST_IS_LITTLE_ENDIAN)('reads the answer to a lookup', () => {
    const bytes = hex(`02200000 fe000001 00020000
      0800 0f00 fe000000  0800 0100 c6336407  0800 0400 03000000  0800 0700 c0000201
      0800 0500 c00002fe  0c00 0800 0800 0200 00050000  0800 1900 00000000
      2400 0c00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000`);
    expect(decodeRoute(bytes)).toEqual(
      succeed({
        destination: '198.51.100.7',
        prefix: 32,
        oif: 3,
        gateway: '192.0.2.254',
        source: '192.0.2.1',
        priority: undefined,
        table: 254,
        protocol: 0,
        scope: 'global',
        type: 'unicast',
        mtu: 1280,
        cloned: true,
      }),
    );
  });

  it('gives back what is encoded', () => {
    const ip = fc.integer({ min: 0, max: 0xffffffff }).map(outerIpv4FromNumber);
    const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
      fc.option(arbitrary, { nil: undefined });
    const route = fc.record({
      destination: ip,
      prefix: fc.integer({ min: 1, max: 32 }),
      oif: maybe(fc.integer({ min: 1, max: 1 << 20 }).map(ifIndex)),
      gateway: maybe(ip),
      source: maybe(ip),
      priority: maybe(fc.nat(0xffffffff)),
      table: fc.integer({ min: 1, max: 0xffffffff }),
      protocol: fc.nat(255),
      scope: fc.constantFrom('global', 'site', 'link', 'host', 'nowhere'),
      type: fc.constantFrom('unicast', 'local', 'blackhole', 'unreachable', 'prohibit', 'throw'),
      mtu: maybe(fc.nat(0xffffffff)),
    });
    fc.assert(
      fc.property(route, (value) => {
        expect(decodeRoute(encodeNewRoute(value, 'create').payload)).toEqual(
          succeed({ ...value, cloned: false }),
        );
      }),
    );
  });

  it('takes a route without a destination for the default, and an unknown type for other', () => {
    const bytes = hex('02000000 fe04000a 00000000');
    expect(decodeRoute(bytes)).toMatchObject(
      succeed({ destination: '0.0.0.0', prefix: 0, type: 'other' }),
    );
  });

  it('reads IPv6, with the default route and the gateway of another family', () => {
    expect(decodeRoute(encodeNewRoute(ipv6, 'create').payload)).toEqual(
      succeed({ ...ipv6, scope: 'global', type: 'unicast', cloned: false }),
    );
    expect(decodeRoute(hex('0a000000 fe040001 00000000'))).toMatchObject(
      succeed({ destination: '::', prefix: 0 }),
    );
    const via = { ...spec, gateway: ipv6.gateway };
    expect(decodeRoute(encodeNewRoute(via, 'create').payload)).toMatchObject(
      succeed({ destination: '203.0.113.0', gateway: '2001:db8::fe' }),
    );
  });

  it('keeps an IPv4-mapped network apart from the IPv4 one', () => {
    const mapped = hex('0a600000 fe040007 00000000 1400 0100 00000000 00000000 0000ffff 00000000');
    expect(decodeRoute(mapped)).toMatchObject(
      succeed({ destination: '::ffff:0:0', prefix: 96, type: 'unreachable' }),
    );
  });

  it('refuses another family, and addresses of the other one', () => {
    expect(decodeRoute(hex('07000000 fe040001 00000000')).ok).toBe(false);
    expect(decodeRoute(encodeNewRoute(spec, 'create').payload.with(0, 10)).ok).toBe(false);
    expect(decodeRoute(encodeNewRoute(ipv6, 'create').payload.with(0, 2)).ok).toBe(false);
  });

  holdsAgainstBadBytes(decodeRoute, encodeNewRoute(spec, 'create').payload, HEADER);
  holdsAgainstBadBytes(decodeRoute, encodeNewRoute(ipv6, 'create').payload, HEADER);
});

import { expect, test } from 'vitest';
import { freePriority, policyRoutes, policyRules } from '../../src/core/reach/policy.ts';
import { ifIndex } from '../../src/core/units.ts';
import { inner, ip } from '../rig/addresses.ts';

const routes = {
  ...{ table: 14_900, protocol: 148, device: ifIndex(7), mtu: {} },
  prefixes: [
    { ip: inner('0.0.0.0'), length: 0 },
    { ip: inner('::'), length: 0 },
  ],
  outside: [ip('203.0.113.1'), ip('2001:db8::1')],
};
const said = (family: 'ipv4' | 'ipv6', change: Partial<typeof routes> | object = {}) =>
  policyRoutes(family, { ...routes, ...change }).map(
    ({ destination, prefix, type = 'unicast', oif, mtu }) =>
      `${type} ${destination}/${prefix} ${oif ?? ''} ${mtu ?? ''}`.trim(),
  );

test('what stays outside is thrown out before anything is led in', () => {
  expect(said('ipv4')).toEqual(['throw 203.0.113.1/32', 'unicast 0.0.0.0/0 7']);
  expect(said('ipv6')).toEqual(['throw 2001:db8::1/128', 'unicast ::/0 7']);
  expect(said('ipv4', { device: undefined })).toEqual(['throw 203.0.113.1/32']);
});

test('a way that takes less has its MTU on the routes, and none of IPv6 where it is too small', () => {
  const mtu = { ipv4: 1200, ipv6: 'none' };
  expect(said('ipv4', { mtu })).toContain('unicast 0.0.0.0/0 7 1200');
  expect(said('ipv6', { mtu })).toContain('unreachable ::/0');
});

test('the rule that captures comes after the one that keeps what is more specific', () => {
  const [first, second] = policyRules('ipv4', { table: 14_900, priority: 32_600 }, 148);
  expect(first).toMatchObject({ priority: 32_600, table: 254, suppressLength: 0 });
  expect(second).toMatchObject({ priority: 32_601, table: 14_900 });
  expect(second).not.toHaveProperty('suppressLength');
});

test('priorities that others have are left to them', () => {
  expect(freePriority([0, 32_766, 32_767])).toBe(32_600);
  expect(freePriority([32_601])).toBe(32_590);
  expect(freePriority([32_600, 32_591])).toBe(32_580);
});

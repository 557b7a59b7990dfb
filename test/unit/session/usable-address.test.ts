import { expect, test } from 'vitest';
import { unusableBy } from '../../../src/core/session/usable-address.ts';
import { ip } from './bench.ts';

test.each([
  ['0.0.0.0', 'unspecified'],
  ['127.8.8.8', 'loopback'],
  ['224.0.0.1', 'multicast'],
  ['240.0.0.1', 'broadcast'],
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['fe80::1', 'link-local'],
  ['febf:ffff::1', 'link-local'],
  ['ff02::1', 'multicast'],
] as const)('nobody else is at %s: %s', (text, why) => {
  expect(unusableBy(ip(text))).toBe(why);
});

test.each([
  '10.0.0.1',
  '192.0.2.1',
  '223.255.255.255',
  '::2',
  '64:ff9b::c000:201',
  '2001:db8::1',
  'fd28::1',
  'fe00::1',
  'fec0::1',
])('another host may be at %s', (text) => {
  expect(unusableBy(ip(text))).toBeUndefined();
});

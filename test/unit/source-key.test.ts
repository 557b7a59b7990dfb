import { expect, test } from 'vitest';
import type { OuterIp } from '../../src/core/addr.ts';
import { sourceOf } from '../../src/core/source-key.ts';

const source = (text: string): string => sourceOf(text as OuterIp);

test('an address of IPv4 is a source of its own', () => {
  expect(source('192.0.2.1')).toBe('192.0.2.1');
  expect(source('192.0.2.1')).not.toBe(source('192.0.2.2'));
});

test.each([
  ['2001:db8::1', '2001:db8::ffff:ffff:ffff:ffff', true],
  ['2001:db8:0:1::1', '2001:db8:0:1:8000::', true],
  ['2001:db8::1', '2001:db8:0:1::1', false],
  ['::1', '1::', false],
])('%s and %s are one source of IPv6: %s', (a, b, same) => {
  expect(source(a) === source(b)).toBe(same);
});

test('no source of one family is one of the other', () => {
  expect(source('::')).not.toBe(source('0.0.0.0'));
});

import { expect, test } from 'vitest';
import { amendExposures } from '../../../src/core/config/amend-exposures.ts';
import { exposureList } from '../../../src/core/config/exposure-list.ts';

const amended = (before: string, text: string): string => {
  const reading = exposureList.read(before);
  if (!reading.ok) throw new Error(reading.expected);
  const exposed = { services: reading.value, from: [] };
  const [[, value] = ['', '']] = amendExposures([['expose', text]], exposed);
  return value;
};

test.each([
  ['tcp/443', '+udp/5 rate 7', 'tcp/443, udp/5 rate 7'],
  ['', '+tcp/1, tcp/2', 'tcp/1, tcp/2'],
  ['tcp/443 rate 5, tcp/80', '+tcp/443 connections 9', 'tcp/80, tcp/443 connections 9'],
  ['tcp/443 rate 5, tcp/80', '-tcp/443', 'tcp/80'],
  ['all', '-all', 'none'],
  ['tcp/443', 'tcp/80', 'tcp/80'],
])('%s and %s', (before, text, after) => {
  expect(amended(before, text)).toBe(after);
});

test('what is not there is not taken away, and what is no service is told', () => {
  expect(() => amended('tcp/443', '-tcp/80')).toThrow(/services that the peer exposes: tcp\/443/);
  expect(() => amended('', '+tcp/x')).toThrow(/tcp\/x/);
});

test('other options stay as they are', () => {
  const options = [
    ['expose-from', '+x'],
    ['keepalive', '-5'],
  ] as const;
  expect(amendExposures(options, undefined)).toEqual(options);
});

import { expect, test } from 'vitest';
import { formatRemote } from '../../../src/app/management/peer-status.ts';
import { port } from '../../../src/core/units.ts';
import { peerConfig } from '../app/fakes.ts';

test.each([
  ['192.0.2.1', 10_000, '192.0.2.1:10000'],
  ['2001:db8::1', 10_000, '[2001:db8::1]:10000'],
  ['server.example', 10_000, 'server.example:10000'],
  ['2001:db8::1', undefined, '2001:db8::1'],
  [undefined, 10_000, undefined],
])('the other side at %s, port %s, is told as %s', (remoteHost, number, expected) => {
  const remotePort = number === undefined ? undefined : port(number);
  expect(formatRemote({ ...peerConfig(), remoteHost, remotePort })).toBe(expected);
});

import { expect, test } from 'vitest';
import { dnsServers, tableValue } from '../../../src/core/config/syntax-everything.ts';
import { configError, resolveRun } from './resolve-texts.ts';

const CLIENT = 'tunl-ip 10.9.0.1\nfou-remote 192.0.2.1:10000\n';

test.each([
  ['main', 'main'],
  ['auto', 'auto'],
  ['off', 'off'],
  ['100', 100],
  ['4294967295', 4_294_967_295],
])('table %s', (text, value) => {
  expect(tableValue.read(text)).toEqual({ ok: true, value });
});

test.each(['', 'AUTO', '0', '253', '254', '255', '4294967296', '-1', '0x10'])(
  'no table: "%s"',
  (text) => {
    expect(tableValue.read(text)).toMatchObject({ ok: false });
  },
);

test('table main is what happens without', () => {
  expect(resolveRun(`${CLIENT}table main\n`).config).not.toHaveProperty('table');
});

test('table is for a client with one server, and says what it lacks', () => {
  expect(configError('server\nauth none\ntable auto\n').message).toContain('table is for a client');
  const two = `${CLIENT}table auto\npeer a\nfou-remote 192.0.2.2:1\ntunl-peer-ip 10.9.0.7\n`;
  expect(configError(two).message).toContain('no sections `peer`');
  expect(resolveRun(`${CLIENT}table auto\n`).warnings.join()).toContain('allowed-ips 0.0.0.0/0');
  expect(resolveRun(`${CLIENT}table auto\nallowed-ips 0.0.0.0/0\n`).warnings).toEqual([]);
});

test('a table has the routes of one purpose', () => {
  const both = `${CLIENT}allowed-ips 0.0.0.0/0\ntable 7777\nreturn-path tunnel\nreturn-path-table`;
  expect(configError(`${both} 7777\n`).message).toContain('another table than that of `table`');
  expect(resolveRun(`${both} 7778\n`).config.returnPath?.table).toBe(7778);
});

test('masquerade is for a server', () => {
  expect(configError(`${CLIENT}masquerade\n`).message).toContain('masquerade is for a server');
});

test('a kill switch leaves no name to look up', () => {
  expect(resolveRun(`${CLIENT}kill-switch off\n`).config).not.toHaveProperty('killSwitch');
  const named = `tunl-ip 10.9.0.1\nfou-remote vpn.example:10000\nkill-switch lan\n`;
  expect(configError(named).message).toContain('an address for fou-remote');
});

test.each([
  ['1.1.1.1', ['1.1.1.1'], []],
  ['fd00::1,1.1.1.1 example.com', ['fd00::1', '1.1.1.1'], ['example.com']],
  ['9.9.9.9 ~.', ['9.9.9.9'], ['~.']],
])('dns %s', (text, servers, domains) => {
  expect(dnsServers.read(text)).toEqual({ ok: true, value: { servers, domains } });
});

test.each([
  '',
  'example.com',
  '1.1.1',
  '1.1.1.1 $(x)',
  "1.1.1.1 a'b",
  '1.1.1.1 -x',
  '1.1.1.1 a..b',
])('no dns: "%s"', (text) => expect(dnsServers.read(text)).toMatchObject({ ok: false }));

import { expect, test } from 'vitest';
import type { TroubleKind, TroubleOf } from '../../../src/core/events/trouble.ts';
import { troubleLevel, troubleWords } from '../../../src/core/events/trouble-words.ts';
import { millis } from '../../../src/core/units.ts';
import { endpoint, ip } from '../session/bench.ts';

const remote = endpoint('192.0.2.1', 10_000);
const since = millis(Date.UTC(2026, 10, 23));
const noAnswer = { kind: 'no-answer', remote, since, sent: 7 } as const;

/** One of every kind, and what is said of it. */
const GOLDEN: { readonly [Kind in TroubleKind]: readonly [TroubleOf<Kind>, string] } = {
  unresolved: [
    { kind: 'unresolved', host: 'vps.example', error: 'no answer in time' },
    'warn the name vps.example does not resolve: no answer in time',
  ],
  'unusable-address': [
    { kind: 'unusable-address', host: 'vps.example', address: ip('127.0.0.1'), why: 'loopback' },
    'warn the name vps.example resolves to 127.0.0.1, which is this host itself: no server can be there',
  ],
  'no-route': [
    { kind: 'no-route', remote: remote.ip, why: { kind: 'missing', device: 'eth0' } },
    'warn no route to 192.0.2.1: none out of eth0; check that it is up (ip route show dev eth0)',
  ],
  'device-missing': [
    { kind: 'device-missing', device: 'eth0' },
    'error there is no device eth0, which fou-dev names: nothing leaves or arrives by it until there is one (see "ip link")',
  ],
  'no-key': [{ kind: 'no-key' }, 'error cannot authenticate: auth-key-b64 is not set'],
  'no-answer': [
    { ...noAnswer, network: { code: 'port', from: remote.ip } },
    'warn no answer from 192.0.2.1:10000 since 2026-11-23 00:00:00 UTC (7 requests sent): 192.0.2.1 says that nothing listens on that port; check that the server runs, and the port',
  ],
  'server-refuses': [
    { kind: 'server-refuses', notice: { reason: 'clock', seconds: -400 } },
    'warn the server refuses us: the clock here is 400 s behind its own',
  ],
  'shared-key': [
    { kind: 'shared-key', remote, other: endpoint('192.0.2.9', 4500) },
    'warn the same key (or token) comes from 192.0.2.1:10000 and 192.0.2.9:4500 by turns: two clients that have one key take the tunnel from each other; give each its own',
  ],
  unprobed: [
    { kind: 'unprobed', why: 'unsigned' },
    'warn only signed requests (auth-key-b64) can be padded, so the path is not probed and mtu auto relies on ICMP alone',
  ],
  'ipv6-off': [
    { kind: 'ipv6-off', mtu: 1252 },
    'warn IPv6 is off towards this peer: the path takes 1252 bytes, IPv6 needs 1280',
  ],
  'integrity-refused': [
    { kind: 'integrity-refused', level: 'full', by: 'server' },
    "error integrity full is set here, and the server's data plane cannot do it: no session is made with less",
  ],
  'not-pointed': [
    { kind: 'not-pointed', error: 'EINVAL' },
    'error cannot point the tunnel at its peer: EINVAL',
  ],
  'not-evicted': [
    { kind: 'not-evicted', error: 'EINVAL' },
    'error cannot take the peer out of the tunnel: EINVAL',
  ],
  'prefix-taken': [
    { kind: 'prefix-taken', prefix: '10.1.0.0/16', device: 'ipipou1' },
    'error 10.1.0.0/16 is not led to its peer: another route of this host has it, out of ipipou1 (ip route show 10.1.0.0/16); take that away, or give the peer another prefix',
  ],
  'more-taken': [
    { kind: 'more-taken', prefixes: 3 },
    'error and 3 more prefixes of peers are not led to them',
  ],
  'more-refused': [
    { kind: 'more-refused', peers: 3 },
    'error and the same or the like of 3 more peers',
  ],
  'not-sent': [
    { kind: 'not-sent', purpose: 'reply', error: 'ENETUNREACH' },
    'warn cannot send (reply): ENETUNREACH',
  ],
  'not-remembered': [
    { kind: 'not-remembered', error: 'ENOSPC' },
    'error nobody new is let in, since memory cannot be written: ENOSPC',
  ],
};

test.each(Object.values(GOLDEN))('$kind has its words', (trouble, expected) => {
  expect(`${troubleLevel(trouble)} ${troubleWords(trouble)}`).toBe(expected);
});

test('of an answer that does not come, where nobody says why, are all that can be wrong', () => {
  const words = troubleWords({ ...noAnswer, sent: 1, network: undefined });
  expect(words).toContain('(1 request sent): nothing said on the way; check');
  for (const what of ['runs', 'firewall', 'port', 'keys', 'auth-secret', 'clocks']) {
    expect(words).toContain(what);
  }
});

test('of an answer that no address of the server gives name them all', () => {
  const words = troubleWords({ ...noAnswer, network: undefined, others: [ip('2001:db8::1')] });
  expect(words).toContain('no answer from 192.0.2.1:10000 nor from 2001:db8::1 since');
});

test.each([
  [{ kind: 'missing', device: undefined }, 'check the default route'],
  [{ kind: 'no-address', device: 'eth1' }, 'eth1 has no address to send from'],
  [{ kind: 'loop', device: 'ipipou0' }, 'ip route add 192.0.2.1/32 via GATEWAY, or set fou-dev'],
] as const)('of a route that is not there say why: $kind', (why, expected) => {
  expect(troubleWords({ kind: 'no-route', remote: remote.ip, why })).toContain(expected);
});

test.each([
  [{ kind: 'missing', device: undefined }, 'check the default route (ip -6 route)'],
  [{ kind: 'missing', device: 'eth0' }, 'check that it is up (ip -6 route show dev eth0)'],
  [{ kind: 'not-wanted', family: 'ipv6' }, 'leave IPv6 out'],
  [{ kind: 'loop', device: 'ipipou0' }, 'ip -6 route add 2001:db8::1/128 via GATEWAY'],
] as const)('of a route of IPv6 name the commands for IPv6: $kind', (why, expected) => {
  const trouble = { kind: 'no-route', remote: ip('2001:db8::1'), why } as const;
  expect(troubleWords(trouble)).toContain(expected);
});

test('of a server without a way to any of its addresses say so of each', () => {
  const missing = { kind: 'missing', device: undefined } as const;
  const others = [{ remote: ip('192.0.2.1'), why: missing }];
  const trouble = { kind: 'no-route', remote: ip('2001:db8::1'), why: missing, others } as const;
  expect(troubleWords(trouble)).toBe(
    'no route to 2001:db8::1: check the default route (ip -6 route); nor to 192.0.2.1: check the default route (ip route)',
  );
});

test('of IPv6 have endpoints in brackets', () => {
  const trouble = { ...noAnswer, remote: endpoint('2001:db8::1', 10_000), network: undefined };
  expect(troubleWords(trouble)).toContain('no answer from [2001:db8::1]:10000 since');
});

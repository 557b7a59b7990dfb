import { expect, test } from 'vitest';
import { formatBase64 } from '../../../src/core/base64.ts';
import { expectRefusal, is, type Said } from './refusals.ts';
import { PRIVATE_KEY, PUBLIC_KEY, resolveRun } from './resolve-texts.ts';

/** A sound section of a server with one more line, which makes it wrong. */
const section = (line: string, said: Omit<Said, 'line'>, at = 5): readonly [string, Said] => [
  `server\npeer a\nauth-token t\ntunl-peer-ip 172.28.0.9\n${line}\n`,
  { line: at, ...said },
];

/** Two sound sections, the second with a line in place of its own of that option, which is wrong. */
function twoPeers(allowed: string, line: string, said: Said, id = 'b'): readonly [string, Said] {
  const first = `peer a\nauth-token a\ntunl-peer-ip 10.0.0.1\nallowed-ips ${allowed || '10.1.0.0/16'}\n\n`;
  const [option = ''] = line.split(' ');
  const own = ['auth-token b', 'tunl-peer-ip 10.0.0.2'];
  const lines = own.map((other) => (other.startsWith(option.replace('-b64', '')) ? line : other));
  const more = lines.includes(line) || option === 'peer' ? [] : [line];
  return [`server\n${first}peer ${id}\n${[...lines, ...more].join('\n')}\n`, said];
}

const text = (first: number) => formatBase64(new Uint8Array(32).fill(7).with(0, first));

/** A server whose sections have each their own private key, one of them twice, and one more section with these lines. */
const ownKeys = (count: number, last: string): string => {
  const keys = [...Array(count).keys(), 0];
  const sections = keys.map(
    (key, at) =>
      `peer p${at}\nauth-key-b64 ${text(key)}\nauth-remote-pubkey-b64 ${text(at + 100)}\ntunl-peer-ip 10.0.0.${at + 1}\n`,
  );
  return `server\n${sections.join('')}peer x\nauth-remote-pubkey-b64 ${text(99)}\ntunl-peer-ip 10.0.0.99\n${last}`;
};

const CASES: readonly (readonly [string, Said])[] = [
  ['server\npeer\n', { line: 2, ...is('peer', undefined, 'letters, digits and . _ -') }],
  [
    ownKeys(8, `auth-key-b64 ${text(8)}\n`),
    { line: 41, ...is('auth-key-b64', '(hidden)', 'a key that another peer has') },
  ],
  ['server\npeer default\n', { line: 2, ...is('peer', 'default', 'that is not default') }],
  ['server\npeer a b\n', { line: 2, ...is('peer', 'a b', 'a name of 1 to 64 letters') }],
  [
    `server\npeer ${'x'.repeat(65)}\n`,
    { line: 2, ...is('peer', 'x'.repeat(65), 'a name of 1 to 64 letters') },
  ],
  ['server\npeer\ta\n', { line: 2, ...is('peer', '\ta', 'one space, then the value') }],
  section(
    'server',
    is('server', '(given)', 'cannot be set per peer: put it before the first line `peer`'),
  ),
  section(
    'tunl-ip 10.0.0.1',
    is('tunl-ip', '10.0.0.1', 'cannot be set per peer: put it before the first line `peer`'),
  ),
  section('verb 3', is('verb', '3', 'cannot be set per peer: put it before the first line `peer`')),
  section(
    'fou-local :5',
    is('fou-local', ':5', 'cannot be set per peer: put it before the first line `peer`'),
  ),
  section('config x', is('config', 'x', 'config can be given on the command line only')),
  section('keepalive 1s', is('keepalive', '1s', 'a whole number of seconds')),
  section('keepalvie 1', is('keepalvie', '(hidden)', 'did you mean `keepalive`?')),
  section('dead-peer-timeout 5', is('dead-peer-timeout', '5', 'is for a client; this is a server')),
  section('auth-token u', is('auth-token', '(hidden)', 'no other value than the one of line 3')),
  section(`auth-key-b64 ${PRIVATE_KEY}`, is('auth-token', '(hidden)', 'either a token or keys'), 3),
  section('auth-by-remote-ip', is('fou-remote-ip', undefined, 'is to accept'), 2),
  section('auth-by-remote-port', is('fou-remote-port', undefined, 'is to accept'), 2),
  section('allowed-ips', is('allowed-ips', undefined, 'prefixes as in 10.1.0.0/16')),
  section('allowed-ips ,', is('allowed-ips', ',', 'prefixes as in 10.1.0.0/16')),
  section('allowed-ips 10.0.0.0/33', is('allowed-ips', '10.0.0.0/33', 'prefixes as in')),
  section('allowed-ips 10.0.0.0/', is('allowed-ips', '10.0.0.0/', 'prefixes as in')),
  section('allowed-ips 10.0.0', is('allowed-ips', '10.0.0', 'prefixes as in')),
  section('allowed-ips any', is('allowed-ips', 'any', 'prefixes as in')),
  section('allowed-ips 10.1.2.3/16', is('allowed-ips', '10.1.2.3/16', '10.1.0.0/16: no bits')),
  section('allowed-ips 10.0.0.1/0', is('allowed-ips', '10.0.0.1/0', '0.0.0.0/0: no bits')),
  section('allowed-ips fd00::/8', is('allowed-ips', 'fd00::/8', 'no IPv6 while `tunl-ip` has no')),
  section('allowed-ips fd00::1/8', is('allowed-ips', 'fd00::1/8', 'fd00::/8: no bits of fd00::1')),
  section('allowed-ips fd00::/129', is('allowed-ips', 'fd00::/129', 'prefixes as in')),
  section('allowed-ips 172.28.0.0', is('allowed-ips', '172.28.0.0', 'which is `tunl-ip`')),
  [
    `server\npeer a\nauth-token t\ntunl-peer-ip 172.28.0.9\nallowed-ips ${'10.0.0.0/8,'.repeat(1025)}\n`,
    { line: 5, ...is('allowed-ips', '10.0.0.0/8,'.repeat(1025), 'at most 1024') },
  ],
  [
    'server\npeer a\ntunl-peer-ip 172.28.0.9\n',
    { line: 2, ...is('auth-remote-pubkey-b64', undefined, 'a section says how its client proves') },
  ],
  [
    `server\nauth-key-b64 ${PRIVATE_KEY}\nauth-secret s\npeer a\ntunl-peer-ip 172.28.0.9\n`,
    { line: 4, ...is('auth-remote-pubkey-b64', undefined, 'a section says how its client proves') },
  ],
  [
    'server\npeer a\ntunl-peer-ip 172.28.0.9\nfou-remote-port 5\nauth-by-remote-port\n',
    { line: 2, ...is('auth-remote-pubkey-b64', undefined, 'a section says how its client proves') },
  ],
  [
    `server\npeer a\ntunl-peer-ip 172.28.0.9\nauth-key-b64 ${PRIVATE_KEY}\n`,
    { line: 2, ...is('auth-remote-pubkey-b64', undefined, 'could admit nobody') },
  ],
  [
    'server\npeer a\nauth-token t\n',
    { line: 2, ...is('tunl-peer-ip', undefined, '172.28.0.1 is free') },
  ],
  [
    'server\npeer a\nauth-token t\ntunl-peer-ip 172.28.0.0\n',
    { line: 4, ...is('tunl-peer-ip', '172.28.0.0', 'another address than `tunl-ip`') },
  ],
  [
    'server\ntunl-peer-ip 172.28.0.9\npeer a\nauth-token t\ntunl-peer-ip 172.28.0.1\n',
    { line: 2, ...is('tunl-peer-ip', '172.28.0.9', 'tunl-peer-ip belongs into a section') },
  ],
  [
    'server\nallowed-ips 10.0.0.0/8\npeer a\nauth-token t\ntunl-peer-ip 172.28.0.1\n',
    { line: 2, ...is('allowed-ips', '10.0.0.0/8', 'belongs into a section') },
  ],
  [
    'server\nfou-remote h:1\npeer a\nauth-token t\ntunl-peer-ip 172.28.0.1\n',
    { line: 2, ...is('fou-remote', 'h:1', 'belongs into a section') },
  ],
  [
    'tunl-ip 10.9.0.1\npeer a\nfou-remote h\n',
    { line: 2, ...is('fou-remote-port', undefined, "the server's") },
  ],
  [
    'tunl-ip 10.9.0.1\npeer a\nfou-remote :1\n',
    { line: 2, ...is('fou-remote-ip', undefined, 'a host name: the server') },
  ],
  [
    `tunl-ip 10.9.0.1\npeer a\nfou-remote h:1\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\n`,
    { line: 2, ...is('auth-key-b64', undefined, 'could not authenticate') },
  ],
  [
    'tunl-ip 1.0.0.0\npeer a\nfou-remote h:1\n',
    { line: 2, ...is('tunl-peer-ip', undefined, "tunl-ip's neighbour is none") },
  ],
  [
    'auth-token t\ntunl-ip 10.9.0.1\nfou-remote-port 5\npeer a\nfou-remote h:1\ntunl-peer-ip 10.9.0.7\n',
    { line: undefined, ...is('fou-remote-ip', undefined, 'a host name: the server') },
  ],

  // What two peers must not share
  twoPeers('', 'peer a', { line: 7, ...is('peer', 'a', 'another name than in line 2') }, 'a'),
  twoPeers('', 'tunl-peer-ip 10.0.0.1', {
    line: 9,
    ...is('tunl-peer-ip', '10.0.0.1', 'another address than in line 4'),
  }),
  twoPeers('', 'auth-token a', {
    line: 8,
    ...is('auth-token', '(hidden)', 'another token than in line 3'),
  }),
  twoPeers('', 'auth-token-b64 YQ==', {
    line: 8,
    ...is('auth-token-b64', '(hidden)', 'another token than in line 3'),
  }),
  twoPeers('10.1.0.0/16, 10.2.0.0/16', 'allowed-ips 10.3.0.0/16, 10.2.0.0/16', {
    line: 10,
    ...is('allowed-ips', '10.3.0.0/16, 10.2.0.0/16', 'line 5, which has 10.2.0.0/16'),
  }),
  twoPeers('10.1.0.0/16', 'allowed-ips 10.0.0.1', {
    line: 10,
    ...is('allowed-ips', '10.0.0.1', 'other prefixes than in line 4, which has 10.0.0.1/32'),
  }),
  twoPeers('10.0.0.2', 'keepalive 1', {
    line: 9,
    ...is('tunl-peer-ip', '10.0.0.2', 'another address than in line 5'),
  }),
  [
    `server\npeer a\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\ntunl-peer-ip 10.0.0.1\n` +
      `peer b\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\ntunl-peer-ip 10.0.0.2\n`,
    {
      line: 6,
      ...is('auth-remote-pubkey-b64', PUBLIC_KEY, 'another public key than in line 3'),
    },
  ],
  [
    'server\nauth-token t\npeer a\nauth-token u\ntunl-peer-ip 172.28.0.1\n',
    {
      line: 5,
      ...is('tunl-peer-ip', '172.28.0.1', 'than in what stands before the sections'),
    },
  ],
  [
    'server\nauth-token t\npeer a\nauth-token t\ntunl-peer-ip 172.28.0.2\n',
    { line: 4, ...is('auth-token', '(hidden)', 'another token than in line 2') },
  ],
  [
    'tunl-ip 10.0.0.9\npeer a\nfou-remote h:1\npeer b\nfou-remote i:1\n',
    { line: 4, ...is('tunl-peer-ip', undefined, 'another address than in line 2') },
  ],
  [
    'tunl-ip 10.0.0.9\npeer a\nfou-remote h:1\npeer b\nfou-remote h:1\ntunl-peer-ip 10.0.0.7\n',
    { line: 5, ...is('fou-remote', 'h:1', 'another remote than in line 3') },
  ],
  [
    'server\npeer a\nfou-remote 192.0.2.1\nauth-by-remote-ip\ntunl-peer-ip 10.0.0.7\n' +
      'peer b\nfou-remote 192.0.2.1\nauth-by-remote-ip\ntunl-peer-ip 10.0.0.8\n',
    { line: 7, ...is('fou-remote', '192.0.2.1', 'another remote than in line 3') },
  ],
];

test.each(CASES.map(([text, said]) => ({ text, said })))(
  'a file is refused: $text',
  ({ text, said }) => expectRefusal(text, said),
);

test('a server has as many keys of its own for session 2 as it can try, and more for session 1', () => {
  for (const [count, last] of [
    [7, `auth-key-b64 ${text(8)}\n`],
    [8, `auth-key-b64 ${text(7)}\n`],
    [8, `auth-key-b64 ${text(8)}\nsession v1\n`],
  ] as const) {
    expect(resolveRun(ownKeys(count, last)).config.peers).toHaveLength(count + 2);
  }
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatPrefix } from '../../../src/core/addr.ts';
import { formatBase64 } from '../../../src/core/base64.ts';
import { dropPeer, editPeer, type PeerOption } from '../../../src/core/config/edit-peers.ts';
import { OPTIONS } from '../../../src/core/config/options.ts';
import { ConfigError } from '../../../src/core/errors.ts';
import { PRIVATE_KEY, PUBLIC_KEY, resolveRun } from './resolve-texts.ts';

const KEY_A = formatBase64(new Uint8Array(32).fill(1));
const KEY_B = formatBase64(new Uint8Array(32).fill(2));

const SERVER =
  `server\nauth-secret s\nkeepalive 25\nauth-key-b64 ${PRIVATE_KEY}\n` +
  `peer a\nauth-remote-pubkey-b64 ${KEY_A}\ntunl-peer-ip 10.0.0.1\nallowed-ips 10.1.0.0/16\n` +
  'peer b\nauth-token t\ntunl-peer-ip 10.0.0.2\nauth-lifetime 60\nreply-on-auth-ok\n';

/** What a change makes of the tunnel of that text. */
function edit(text: string, name: string, ...options: readonly PeerOption[]) {
  const { config, base } = resolveRun(text);
  return editPeer(config.peers, base, name, options);
}

/** Why a change is refused. */
function refusal(text: string, name: string, ...options: readonly PeerOption[]): string {
  try {
    edit(text, name, ...options);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('it was not refused');
}

test('a new peer is what a section with these options would be', () => {
  const options: readonly PeerOption[] = [
    ['auth-remote-pubkey-b64', KEY_B],
    ['tunl-peer-ip', '10.0.0.3'],
    ['allowed-ips', '10.3.0.0/16'],
    ['keepalive', '5'],
  ];
  const section = options.map((words) => `${words.join(' ')}\n`).join('');
  const written = resolveRun(`${SERVER}peer c\n${section}`).config.peers;
  const { peers, set } = edit(SERVER, 'c', ...options);
  expect(peers).toEqual(written);
  expect(set).toEqual([written[2]]);
});

test.each([
  ['a', ['keepalive', '7'], { timers: { keepalive: 7 } }],
  [
    'a',
    ['allowed-ips', '10.9.0.0/16'],
    {
      allowedIps: [
        { ip: '10.0.0.1', length: 32 },
        { ip: '10.9.0.0', length: 16 },
      ],
    },
  ],
  [
    'a',
    ['tunl-peer-ip', '10.0.0.9'],
    {
      innerIps: ['10.0.0.9'],
      allowedIps: [
        { ip: '10.0.0.9', length: 32 },
        { ip: '10.1.0.0', length: 16 },
      ],
    },
  ],
  ['a', ['auth-secret', 'other'], { proof: { secret: new TextEncoder().encode('other') } }],
  [
    'b',
    ['connection-idle', '9'],
    { timers: { connectionIdle: 9, authLifetime: 60, keepalive: 25 } },
  ],
  ['b', ['auth-packet-ttl', '9'], { auth: { packetTtl: 9, replyOnAuthOk: true } }],
] as const)('a change of %s by %j keeps what is not named', (name, option, changed) => {
  const before = resolveRun(SERVER).config.peers.find(({ id }) => id === name);
  const { peers, set } = edit(SERVER, name, option);
  expect(peers).toHaveLength(2);
  expect(set).toHaveLength(1);
  expect(set[0]).toMatchObject({ ...changed, id: name });
  const untouched = {
    ...before,
    ...Object.fromEntries(Object.keys(changed).map((key) => [key, expect.anything()])),
  };
  expect(set[0]).toEqual(untouched);
});

test('what has no effect on a peer changes none', () => {
  const { peers, set } = edit(SERVER, 'b', ['auth-max-time-discrepancy', '9']);
  expect(set).toEqual([]);
  expect(peers).toEqual(resolveRun(SERVER).config.peers);
});

test('another kind of proof takes the place of the one before', () => {
  const token = edit(SERVER, 'a', ['auth-token', 'u']).set[0]?.proof;
  expect(token).toEqual({ kind: 'token', token: Uint8Array.of(117) });
  const keys = edit(SERVER, 'b', ['auth-remote-pubkey-b64', PUBLIC_KEY]).set[0]?.proof;
  expect(keys).toMatchObject({
    kind: 'ed25519',
    secret: Uint8Array.of(115),
    maxTimeDiscrepancy: 300,
  });
});

test('a changed peer shares with the others what it inherits', () => {
  const { peers } = edit(SERVER, 'a', ['allowed-ips', '10.9.0.0/16']);
  const { base } = resolveRun(SERVER);
  expect(peers[0]?.timers).toEqual(base.timers);
  const again = editPeer(peers, { ...base, timers: peers[0]?.timers ?? base.timers }, 'a', [
    ['auth-packet-ttl', '5'],
  ]);
  expect(again.set[0]?.timers).toBe(peers[0]?.timers);
});

test.each([
  ['default', [['keepalive', '1']], 'peer: "default": expected a name of 1 to 64'],
  ['x y', [], 'peer: "x y": expected a name'],
  [
    'c',
    [['auth-token', 'u']],
    'tunl-peer-ip: no value: expected an address inside the tunnel for it: 172.28.0.1 is free',
  ],
  ['c', [['tunl-peer-ip', '10.0.0.3']], 'auth-remote-pubkey-b64: no value'],
  [
    'c',
    [
      ['auth-token', 'u'],
      ['tunl-peer-ip', '10.0.0.1'],
    ],
    'another address than peer `a`',
  ],
  [
    'c',
    [
      ['auth-token', 't'],
      ['tunl-peer-ip', '10.0.0.3'],
    ],
    'auth-token: "(hidden)": expected another token than peer `b`',
  ],
  [
    'c',
    [
      ['auth-remote-pubkey-b64', KEY_A],
      ['tunl-peer-ip', '10.0.0.3'],
    ],
    'another public key than peer `a`',
  ],
  ['b', [['allowed-ips', '10.1.0.0/16']], 'other prefixes than peer `a`, which has 10.1.0.0/16'],
  ['b', [['allowed-ips', '10.0.0.1']], 'another address than peer `a`'],
  ['b', [['tunl-peer-ip', '172.28.0.0']], 'another address than `tunl-ip`'],
  ['b', [['verb', '3']], 'verb cannot be set per peer'],
  ['b', [['keepalvie', '3']], 'did you mean `--keepalive`?'],
  ['b', [['auth-token', 'two\nlines']], 'auth-token: "(hidden)": expected one line'],
  ['b', [['auth-secret', 'two\r']], 'auth-secret: "(hidden)": expected one line'],
  ['b', [['keepalive', '3s']], 'keepalive: "3s": expected a whole number of seconds'],
  ['b', [['dead-peer-timeout', '3']], 'is for a client; this is a server'],
  [
    'b',
    [
      ['auth-token', 'x'],
      ['auth-remote-pubkey-b64', KEY_B],
    ],
    'either a token or keys',
  ],
  [
    'b',
    [
      ['keepalive', '3'],
      ['keepalive', '4'],
    ],
    'no other value than the one before it',
  ],
] as const)('a change of %s by %j is refused', (name, options, words) => {
  const said = refusal(SERVER, name, ...options);
  expect(said.split('\n')).toHaveLength(1);
  expect(said).toMatch(/^(command line: |unknown option )/);
  expect(said).toContain(words);
});

test('the default peer gives up the addresses of others when one comes, and has them again', () => {
  const text = 'server\nauth-token t\n';
  const { config, base } = resolveRun(text);
  const { peers, set } = edit(text, 'a', ['auth-token', 'u'], ['tunl-peer-ip', '10.0.0.1']);
  expect(set.map(({ id }) => id)).toEqual(['default', 'a']);
  expect(peers[0]?.allowedIps).toEqual([{ ip: '172.28.0.1', length: 32 }]);
  const dropped = dropPeer(peers, base, 'a');
  expect(dropped).toEqual({ peers: config.peers, set: config.peers, removed: 'a', warnings: [] });
});

test('a peer that is not there cannot be taken away', () => {
  const { config, base } = resolveRun(SERVER);
  expect(dropPeer(config.peers, base, 'a').peers).toEqual([config.peers[1]]);
  expect(() => dropPeer(config.peers, base, 'c')).toThrow('peer: "c": expected the name of a peer');
  expect(() => dropPeer(config.peers, base, 'default')).toThrow('that is not default');
});

test("a client's new server needs a remote", () => {
  const text = `tunl-ip 10.0.0.9\nauth-key-b64 ${PRIVATE_KEY}\nauth-secret s\npeer a\nfou-remote h:1\n`;
  expect(refusal(text, 'b', ['tunl-peer-ip', '10.0.0.7'])).toContain('fou-remote-ip: no value');
  expect(refusal(text, 'b', ['fou-remote', 'i:1'])).toContain('another address than peer `a`');
  const { set } = edit(text, 'b', ['fou-remote', 'i:1'], ['tunl-peer-ip', '10.0.0.7']);
  expect(set[0]).toMatchObject({ id: 'b', remoteHost: 'i', proof: { kind: 'ed25519' } });
});

const aSection = fc.record({
  proof: fc.oneof(
    fc.constant('auth-token'),
    fc.constant('auth-remote-pubkey-b64'),
    fc.constant('auth-by-remote-ip'),
  ),
  keepalive: fc.option(fc.nat(86_400)),
  lifetime: fc.option(fc.nat(100_000)),
  ttl: fc.option(fc.integer({ min: 1, max: 255 })),
  secret: fc.option(fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/)),
  port: fc.option(fc.integer({ min: 1, max: 65_535 })),
  networks: fc.uniqueArray(fc.nat(255), { maxLength: 5 }),
});

type Drawn = typeof aSection extends fc.Arbitrary<infer T> ? T : never;

/** The options of the peer of that number; no two numbers have anything in common. */
function optionsOf(drawn: Drawn, number: number): readonly PeerOption[] {
  const maybe = (name: string, value: string | number | null): readonly PeerOption[] =>
    value === null ? [] : [[name, String(value)]];
  const proofs: Readonly<Record<string, readonly PeerOption[]>> = {
    'auth-token': [['auth-token', `token ${number}`]],
    'auth-remote-pubkey-b64': [
      ['auth-remote-pubkey-b64', formatBase64(new Uint8Array(32).fill(number))],
    ],
    'auth-by-remote-ip': [
      ['auth-by-remote-ip', ''],
      ['fou-remote-ip', `192.0.2.${number}`],
    ],
  };
  const networks = drawn.networks.map((network) => `10.${number}.${network}.0/24`);
  return [
    ...(proofs[drawn.proof] ?? []),
    ['tunl-peer-ip', `172.28.9.${number}`],
    ...maybe('keepalive', drawn.keepalive),
    ...maybe('auth-lifetime', drawn.lifetime),
    ...maybe('auth-packet-ttl', drawn.ttl),
    ...maybe('auth-secret', drawn.secret),
    ...maybe('fou-remote-port', drawn.port),
    ...maybe('allowed-ips', networks.length === 0 ? null : networks.join(', ')),
  ];
}

test('peers that are set one by one are those of a file that says the same, in any order', () => {
  fc.assert(
    fc.property(fc.array(aSection, { minLength: 1, maxLength: 6 }), (drawn) => {
      const sections = drawn.map((one, index) => optionsOf(one, index + 1));
      const text = sections
        .map((options, index) => {
          const lines = options.map(([name, value]) => (value === '' ? name : `${name} ${value}`));
          return `peer p${index + 1}\n${lines.join('\n')}\n`;
        })
        .join('');
      const written = resolveRun(`server\nauth-lifetime 9\n${text}`).config.peers;
      const { config, base } = resolveRun(
        'server\nauth-lifetime 9\npeer x\nauth-token x\ntunl-peer-ip 10.0.0.1\n',
      );
      let { peers } = config;
      for (const [index, options] of sections.entries()) {
        // First what it needs, then one by one.
        const needed = options.filter(([name]) => !/keep|ttl|life|port|allowed/.test(name));
        ({ peers } = editPeer(peers, base, `p${index + 1}`, needed));
        for (const option of options.filter((one) => !needed.includes(one)).toReversed()) {
          ({ peers } = editPeer(peers, base, `p${index + 1}`, [option]));
        }
      }
      ({ peers } = dropPeer(peers, base, 'x'));
      expect(peers).toEqual(written);
      for (const [index, { allowedIps }] of written.entries()) {
        const networks = drawn[index]?.networks.map((network) => `10.${index + 1}.${network}.0/24`);
        expect(allowedIps === 'any' ? 'any' : allowedIps.slice(1).map(formatPrefix)).toEqual(
          networks,
        );
      }
    }),
  );
});

test('no secret of a change is in a message', () => {
  const secretOnes = OPTIONS.filter(({ secret, peer }) => secret && peer !== undefined);
  expect(secretOnes.length).toBeGreaterThan(3);
  for (const { name } of secretOnes) {
    for (const spelt of [name, `${name}x`, name.slice(1)]) {
      const said = refusal(SERVER, 'b', [spelt, `QXZ${'y'.repeat(2000)}`], ['verb', '1']);
      expect(said).not.toContain('QXZ');
    }
  }
});

test('a public address comes and goes, and other prefixes stay', () => {
  const { peers } = edit(SERVER, 'a', ['public-ip', '198.51.100.7']);
  const [a] = peers;
  expect(a?.allowedIps).toEqual([
    ...[
      { ip: '10.0.0.1', length: 32 },
      { ip: '198.51.100.7', length: 32 },
    ],
    { ip: '10.1.0.0', length: 16 },
  ]);
  const { base } = resolveRun(SERVER);
  const kept = editPeer(peers, base, 'a', [['keepalive', '7']]).peers[0];
  expect(kept).toMatchObject({ publicIps: ['198.51.100.7'], allowedIps: a?.allowedIps });
  const gone = editPeer(peers, base, 'a', [['public-ip', 'none']]).peers[0];
  expect(gone?.publicIps).toBeUndefined();
  expect(gone?.allowedIps).toEqual(resolveRun(SERVER).config.peers[0]?.allowedIps);
});

test('one key of the server too many is refused', () => {
  const key = (first: number) => formatBase64(new Uint8Array(32).fill(7).with(0, first));
  const section = (at: number): string =>
    `peer p${at}\nauth-key-b64 ${key(at)}\nauth-remote-pubkey-b64 ${key(at + 100)}\ntunl-peer-ip 10.0.0.${at + 1}\n`;
  const text = `server\n${[...Array(8).keys()].map(section).join('')}`;
  const options = [
    ['auth-remote-pubkey-b64', key(99)],
    ['tunl-peer-ip', '10.0.0.99'],
  ] as const;
  const said = refusal(text, 'x', ...options, ['auth-key-b64', key(8)]);
  expect(said).toContain('a server has 8 of its own at most for session 2');
  expect(said).not.toContain(key(8));
  expect(edit(text, 'x', ...options, ['auth-key-b64', key(3)]).peers).toHaveLength(9);
  expect(edit(text, 'p7', ['auth-key-b64', key(8)]).peers).toHaveLength(8);
});

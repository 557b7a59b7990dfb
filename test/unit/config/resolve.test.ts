import { expect, test } from 'vitest';
import { carries, outerFamilies } from '../../../src/core/config/families.ts';
import { PRIVATE_KEY, PUBLIC_KEY, configError, resolveRun, resolveTexts } from './resolve-texts.ts';

const CLIENT = 'tunl-ip 10.9.0.1\nfou-remote 192.0.2.1:10000\n';
const KEY_SERVER = `server\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\n`;
const SOUND_SERVER = `${KEY_SERVER}auth-secret s\n`;

test.each([
  ['number 0', 0, '172.28.0.0', '172.28.0.1', 10000, '172.29.0.0', 'ipipou0', 0],
  ['number 1', 1, '172.28.0.2', '172.28.0.3', 10001, '172.29.0.1', 'ipipou1', 1],
  ['number 300', 300, '172.28.2.88', '172.28.2.89', 10300, '172.29.1.44', 'ipipou300', 300],
  [
    'number 32767',
    32767,
    '172.28.255.254',
    '172.28.255.255',
    42767,
    '172.29.127.255',
    'ipipou32767',
    32767,
  ],
  ['queue-number 7', 7, '172.28.0.14', '172.28.0.15', 10007, '172.29.0.7', 'ipipou7', 7],
  [
    'number 0\nqueue-number 999',
    999,
    '172.28.7.206',
    '172.28.7.207',
    10999,
    '172.29.3.231',
    'ipipou999',
    999,
  ],
  ['queue-number 1000', 0, '172.28.0.0', '172.28.0.1', 10000, '172.29.0.0', 'ipipou0', 1000],
  ['number 2\nqueue-number 9', 2, '172.28.0.4', '172.28.0.5', 10002, '172.29.0.2', 'ipipou2', 9],
  ['number 2\nqueue-number 0', 2, '172.28.0.4', '172.28.0.5', 10002, '172.29.0.2', 'ipipou2', 0],
] as const)(
  '%j is what defaults count from',
  (lines, number, ip, peerIp, port, alt, device, queue) => {
    const { config } = resolveRun(`server\n${lines}\n`);
    expect(config.number).toBe(number);
    expect(config.inner).toMatchObject({ ips: [ip], device });
    expect(config.peers[0]?.innerIps).toEqual([peerIp]);
    expect(config.outer).toMatchObject({ localPort: port, localIpAlt: alt });
    expect(config.queue.number).toBe(queue);
    expect(config.name).toBe(device);
  },
);

test('a client counts the same way, except for the addresses that it must give', () => {
  const { config } = resolveRun(`${CLIENT}number 5\n`);
  expect(config.inner).toEqual({
    device: 'ipipou5',
    ips: ['10.9.0.1'],
    mtu: undefined,
  });
  expect(config.peers[0]?.innerIps).toEqual(['10.9.0.0']);
  expect(config.outer.localPort).toBe(10005);
});

test('client is the default role', () => {
  expect(resolveRun(CLIENT).config.role).toBe('client');
});

test('what can only be meant for a server is taken for one, and that is said', () => {
  const { config, warnings } = resolveRun(
    `auth-lifetime 5\n${SOUND_SERVER.replace('server\n', '')}`,
  );
  expect(config.role).toBe('server');
  expect(warnings).toEqual([expect.stringContaining('no line `server`')]);
});

test.each([
  ['', 'nothing that only a server has'],
  ['auth-lifetime 5\nfou-remote 192.0.2.1:10000\n', 'another side to go to'],
  ['auth-lifetime 5\ndead-peer-timeout 5\n', 'what only a client has'],
])('a server is not guessed from %j: %s', (lines) => {
  const error = configError(`${lines}${SOUND_SERVER.replace('server\n', '')}`);
  expect(error.exit).toBe('arguments');
});

test.each([
  ['192.0.2.9', { localIps: ['192.0.2.9'], localPort: 10000, device: undefined }],
  [':7', { localIps: [], localPort: 7, device: undefined }],
  ['@e', { localIps: [], localPort: 10000, device: 'e' }],
  ['192.0.2.9@e', { localIps: ['192.0.2.9'], localPort: 10000, device: 'e' }],
  [':7@e', { localIps: [], localPort: 7, device: 'e' }],
  ['192.0.2.9:7', { localIps: ['192.0.2.9'], localPort: 7, device: undefined }],
  [':7@a@b', { localIps: [], localPort: 7, device: 'a@b' }],
  ['[2001:DB8:0::1]', { localIps: ['2001:db8::1'], localPort: 10000, device: undefined }],
  ['[2001:db8::1]:7@e', { localIps: ['2001:db8::1'], localPort: 7, device: 'e' }],
  ['[::ffff:192.0.2.9]:7', { localIps: ['192.0.2.9'], localPort: 7, device: undefined }],
])('fou-local %s', (value, expected) => {
  expect(resolveRun(`server\nfou-local ${value}\n`).config.outer).toMatchObject(expected);
});

test.each([
  ['192.0.2.1', { remoteHost: '192.0.2.1', remotePort: undefined }],
  ['home.example.', { remoteHost: 'home.example.', remotePort: undefined }],
  [':9', { remoteHost: undefined, remotePort: 9 }],
  ['h:9', { remoteHost: 'h', remotePort: 9 }],
  ['[2001:DB8::0:2]:9', { remoteHost: '2001:db8::2', remotePort: 9 }],
  ['[2001:db8::2]', { remoteHost: '2001:db8::2', remotePort: undefined }],
])('fou-remote %s', (value, expected) => {
  expect(resolveRun(`server\nfou-remote ${value}\n`).config.peers[0]).toMatchObject(expected);
});

test.each([
  ['', ['172.28.0.0'], ['172.28.0.1'], ['ipv4']],
  ['tunl-ip 10.0.0.1, fd28::1', ['10.0.0.1', 'fd28::1'], ['10.0.0.2', 'fd28::2'], ['ipv4', 'ipv6']],
  ['tunl-ip fd28::1,10.0.0.1', ['10.0.0.1', 'fd28::1'], ['10.0.0.2', 'fd28::2'], ['ipv4', 'ipv6']],
  ['tunl-ip fd28::1', ['fd28::1'], ['fd28::2'], ['ipv6']],
  [
    'tunl-ip 10.0.0.1, fd28::1\ntunl-peer-ip fd28::9',
    ['10.0.0.1', 'fd28::1'],
    ['fd28::9'],
    ['ipv4', 'ipv6'],
  ],
])('inside, with %j', (lines, own, peers, families) => {
  const { config } = resolveRun(`server\n${lines}\n`);
  expect(config.inner.ips).toEqual(own);
  expect(config.peers[0]?.innerIps).toEqual(peers);
  expect((['ipv4', 'ipv6'] as const).filter((family) => carries(config.inner, family))).toEqual(
    families,
  );
});

test.each([
  ['', ['ipv4', 'ipv6']],
  ['fou-family ipv6', ['ipv6']],
  ['fou-local 192.0.2.9', ['ipv4']],
  ['fou-local-ip 2001:db8::1', ['ipv6']],
  ['fou-local-ip 2001:db8::1, 192.0.2.9', ['ipv4', 'ipv6']],
  ['fou-local-ip 192.0.2.9\nfou-family ipv4', ['ipv4']],
])('outside, with %j', (lines, families) => {
  expect(outerFamilies(resolveRun(`server\n${lines}\n`).config.outer)).toEqual(families);
});

test('options in three can be completed by single ones', () => {
  const { config } = resolveRun('server\nfou-local :7\nfou-dev e\nfou-local-ip 192.0.2.9\n');
  expect(config.outer).toMatchObject({ localIps: ['192.0.2.9'], localPort: 7, device: 'e' });
});

test('later files win over earlier ones, and the command line over all', () => {
  const texts = {
    a: 'server\nkeepalive 1\nauth-lifetime 1\nmtu 1001\n',
    b: 'keepalive 2\nauth-lifetime 2\n',
  };
  const { config } = resolveRun(texts, '--keepalive 3');
  expect(config.peers[0]?.timers).toMatchObject({ keepalive: 3, authLifetime: 2 });
  expect(config.inner.mtu).toBe(1001);
});

test('a part that a later source gives does not take the other parts along', () => {
  const { config } = resolveRun({ a: 'server\nfou-local 192.0.2.9:7@e\n' }, '-b :8');
  expect(config.outer).toMatchObject({ localIps: ['192.0.2.9'], localPort: 8, device: 'e' });
});

test('a later source may say a thing in another way', () => {
  const token = (argv: string[]) =>
    resolveRun({ a: 'server\nauth-token a\n' }, argv).config.peers[0]?.proof;
  expect(token([])).toEqual({ kind: 'token', token: Uint8Array.of(97) });
  expect(token(['--auth-token-b64', 'AA=='])).toEqual({
    kind: 'token',
    token: Uint8Array.of(0),
  });
  expect(resolveRun({ a: `server\n${CLIENT}` }, '-c').config.role).toBe('client');
});

test('saying the same again is harmless', () => {
  expect(resolveRun('server\nserver\nnumber 1\nnumber 1\n').config.number).toBe(1);
  expect(resolveRun({ a: 'server\n' }, '-s -s --number 1 --number=1').config.number).toBe(1);
});

test('a value that a later source overrides must be sound all the same', () => {
  const error = configError({ a: 'server\nmtu 1\n' }, '--mtu 1400');
  expect(error.problems.map(({ source, line }) => [source, line])).toEqual([['a', 2]]);
});

test.each([
  ['', '', 'info'],
  ['', '-v', 'debug'],
  ['', '-vv', 'debug'],
  ['verb 0\n', '', 'error'],
  ['verb 1\n', '', 'warn'],
  ['verb 0\n', '-v', 'warn'],
  ['verb 0\n', '-vv', 'info'],
  ['verb 0\nv\n', '-v --verb 1', 'debug'],
])('verbosity of %j and %j is %s', (lines, argv, level) => {
  expect(resolveRun(`server\n${lines}`, argv === '' ? [] : argv).log.level).toBe(level);
});

test('the name is that of the last config file given, else of the device', () => {
  expect(resolveRun(CLIENT, '--config a --config ./b.conf').config.name).toBe('b');
  expect(resolveRun(`${CLIENT}tunl-dev home\n`).config.name).toBe('home');
});

test('help and version are answered whatever else is wrong', () => {
  expect(resolveTexts('frob\n', '--bogus --help')).toEqual({ action: 'help' });
  expect(resolveTexts('frob\n', '--bogus --version')).toEqual({ action: 'version' });
});

test('key generation needs no tunnel, but sound options', () => {
  expect(resolveTexts({}, '--auth-keygen --verb 1')).toEqual({ action: 'keygen', labelled: true });
  expect(resolveTexts({}, '--auth-keygen --verb 0')).toEqual({ action: 'keygen', labelled: false });
  expect(configError({}, '--auth-keygen --auth-key-type rsa').exit).toBe('notImplemented');
});

test.each([
  ['nothing about a sound server', SOUND_SERVER, []],
  ['nothing about a sound client', `${CLIENT}auth-key-b64 ${PRIVATE_KEY}\nauth-secret s\n`, []],
  ['nothing about a client without authentication', CLIENT, []],
  ['nothing about a restricted server', 'server\nfou-remote-ip 192.0.2.1\nauth-by-remote-ip\n', []],
  ['the default secret', KEY_SERVER, ['t.conf: auth-secret: not given: the default is known']],
  [
    "the default secret of a client's",
    `${CLIENT}auth-key-b64 ${PRIVATE_KEY}\n`,
    ['t.conf: auth-secret: not given: the default is known'],
  ],
  [
    'a server that anybody may use',
    'server\n',
    ['t.conf: no authentication: whoever sent the latest packet is the client'],
  ],
  [
    'a server that asks for a port only',
    'server\nfou-remote-port 5\nauth-by-remote-port\n',
    ['t.conf: no authentication: whoever sent the latest packet from the right port is the client'],
  ],
  [
    'a token that is too long for some paths',
    `server\nauth-token ${'x'.repeat(549)}\n`,
    ['t.conf:2: auth-token: longer than 548 bytes'],
  ],
  ['nothing about the longest safe token', `server\nauth-token ${'x'.repeat(548)}\n`, []],
  [
    'options of keys without keys',
    'server\nauth-token t\nauth-secret s\nauth-key-type ed25519\nauth-max-time-discrepancy 5\n',
    [
      't.conf:3: auth-secret: no effect without keys',
      't.conf:4: auth-key-type: no effect without keys',
      't.conf:5: auth-max-time-discrepancy: no effect without auth-remote-pubkey-b64',
    ],
  ],
  [
    'a private key that a server does not use',
    `${SOUND_SERVER}auth-key-b64 ${PRIVATE_KEY}\nsession v1\n`,
    ['t.conf:4: auth-key-b64: no effect with session v1 and without reply-on-auth-ok'],
  ],
  [
    'a remote that a server does not insist on',
    `${SOUND_SERVER}fou-remote-ip 192.0.2.1\nfou-remote-port 5\n`,
    [
      't.conf:4: fou-remote-ip: admits others too without auth-by-remote-ip',
      't.conf:5: fou-remote-port: admits other ports without auth-by-remote-port',
    ],
  ],
  [
    'options of a data plane that is not used',
    `${SOUND_SERVER}dataplane tun\nnft-table t\nforce-fou-local-ip-alt\n`,
    [
      't.conf:5: nft-table: no effect without dataplane fou',
      't.conf:6: force-fou-local-ip-alt: no effect without dataplane fou',
    ],
  ],
])('warns of %s', (_, text, expected) => {
  const { warnings } = resolveRun(text);
  expect(warnings).toEqual(
    expected.map(
      (words) => expect.stringMatching(new RegExp(`^${words.replaceAll('.', '\\.')}`)) as string,
    ),
  );
});

test('on the command line, silence does not open a server to everybody', () => {
  const error = configError({}, ['-s']);
  expect(error.message).toContain('nothing says who the client is: give auth-remote-pubkey-b64');
  expect(resolveRun({}, '-s --auth none').warnings).toEqual([]);
  expect(resolveRun('server\n').warnings.join()).toContain('no authentication');
});

test.each([
  ['auth-secret  x', 'begins with a space'],
  ['auth-token x ', 'ends with a space'],
  ['auth-token "x"', 'stands in quotes'],
  ['auth-token x # the phone', 'has a # in it'],
])('%j gets a warning that shows nothing of it', (line, words) => {
  for (const text of [
    `server\n${line}\n`,
    `server\npeer a\ntunl-peer-ip 10.0.0.1\nauth-token t\n${line}\n`,
  ]) {
    if (text.includes('auth-token t\nauth-token')) continue;
    const { warnings } = resolveRun(text);
    const about = warnings.filter((warning) => warning.includes(words));
    expect(about).toHaveLength(1);
    expect(about[0]).not.toContain('x');
  }
});

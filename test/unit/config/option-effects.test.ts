import { expect, test } from 'vitest';
import { OPTIONS } from '../../../src/core/config/options.ts';
import { needsRestart } from '../../../src/core/config/restart.ts';
import { findOption } from '../../../src/core/config/setting.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { PRIVATE_KEY, PUBLIC_KEY, configError, resolveRun, resolveTexts } from './resolve-texts.ts';

const SERVER = 'server\n';
const TOKEN_SERVER = 'server\nauth-token t\n';
const BOTH_KEYS = `server\nauth-key-b64 ${PRIVATE_KEY}\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\nauth-secret s\n`;
const KEY_SERVER = `server\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\nauth-secret s\n`;
const INVITING = `server
auth-key-b64 ${PRIVATE_KEY}
reply-on-auth-ok
peer a
auth-remote-pubkey-b64 ${PUBLIC_KEY}
tunl-peer-ip 10.0.0.1
`;
const CLIENT = 'tunl-ip 10.9.0.1\nfou-remote 192.0.2.1:10000\n';

type Case = {
  /** The config without the option. */
  readonly base: string;
  /** The option as a line of a file. */
  readonly line: string;
  /** Part of the result, as a path, and what it is without and with the option. */
  readonly part: string;
  readonly without: unknown;
  readonly with: unknown;
};

const at = (base: string, line: string, part: string, without: unknown, withIt: unknown): Case => ({
  base,
  line,
  part,
  without,
  with: withIt,
});

const bytes = (text: string) => new TextEncoder().encode(text);

/** Options of files: each changes this part of the result. */
const EFFECTS: Readonly<Record<string, Case>> = {
  server: at('', 'server', 'config.role', undefined, 'server'),
  auth: at(SERVER, 'auth none', 'warnings', [expect.stringContaining('no authentication')], []),
  number: at(SERVER, 'number 3', 'config.number', 0, 3),
  'queue-number': at(SERVER, 'queue-number 2000', 'config.queue.number', 0, 2000),
  'nfq-max-len': at(SERVER, 'nfq-max-len 100', 'config.queue.maxLength', 24, 100),
  'auth-by-remote-ip': at(
    `${SERVER}fou-remote-ip 192.0.2.1\n`,
    'auth-by-remote-ip',
    'config.peers.0.auth.byRemoteIp',
    false,
    true,
  ),
  'auth-by-remote-port': at(
    `${SERVER}fou-remote-port 5\n`,
    'auth-by-remote-port',
    'config.peers.0.auth.byRemotePort',
    false,
    true,
  ),
  'auth-token': at(
    SERVER,
    'auth-token a  b',
    'config.peers.0.proof.token',
    undefined,
    bytes('a  b'),
  ),
  'auth-token-b64': at(
    SERVER,
    'auth-token-b64 AP8=',
    'config.peers.0.proof.token',
    undefined,
    Uint8Array.of(0, 255),
  ),
  'auth-key-b64': at(
    CLIENT,
    `auth-key-b64 ${PRIVATE_KEY}`,
    'config.peers.0.proof.kind',
    'none',
    'ed25519',
  ),
  'auth-remote-pubkey-b64': at(
    SERVER,
    `auth-remote-pubkey-b64 ${PUBLIC_KEY}`,
    'config.peers.0.proof.kind',
    'none',
    'ed25519',
  ),
  'auth-secret': at(
    `server\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\n`,
    'auth-secret topsecret',
    'config.peers.0.proof.secret',
    bytes('netprickle.com'),
    bytes('topsecret'),
  ),
  'auth-max-time-discrepancy': at(
    KEY_SERVER,
    'auth-max-time-discrepancy 0',
    'config.peers.0.proof.maxTimeDiscrepancy',
    300,
    0,
  ),
  'auth-lifetime': at(SERVER, 'auth-lifetime 60', 'config.peers.0.timers.authLifetime', 0, 60),
  'connection-idle': at(
    SERVER,
    'connection-idle 60',
    'config.peers.0.timers.connectionIdle',
    120,
    60,
  ),
  'dead-peer-timeout': at(
    CLIENT,
    'dead-peer-timeout 0',
    'config.peers.0.timers.deadPeerTimeout',
    30,
    0,
  ),
  keepalive: at(SERVER, 'keepalive 25', 'config.peers.0.timers.keepalive', 0, 25),
  'auth-packet-ttl': at(CLIENT, 'auth-packet-ttl 9', 'config.peers.0.auth.packetTtl', undefined, 9),
  'reply-on-auth-ok': at(
    TOKEN_SERVER,
    'reply-on-auth-ok',
    'config.peers.0.auth.replyOnAuthOk',
    false,
    true,
  ),
  session: at(KEY_SERVER, 'session v1', 'config.peers.0.auth.session', 'auto', 'v1'),
  integrity: at(BOTH_KEYS, 'integrity full', 'config.peers.0.auth.integrity', 'none', 'full'),
  'reauth-only': at(CLIENT, 'reauth-only', 'action', 'run', 'reauthenticate'),
  'fou-local': at(
    SERVER,
    'fou-local 192.0.2.9:7@wan0',
    'config.outer',
    expect.objectContaining({ localIps: [], localPort: 10000, device: undefined }),
    expect.objectContaining({ localIps: ['192.0.2.9'], localPort: 7, device: 'wan0' }),
  ),
  'fou-local-ip': at(
    SERVER,
    'fou-local-ip 2001:db8::9, 192.0.2.9',
    'config.outer.localIps',
    [],
    ['192.0.2.9', '2001:db8::9'],
  ),
  'pre-up': at(SERVER, 'pre-up echo %i 100%%', 'config.hooks', {}, { 'pre-up': 'echo %i 100%%' }),
  'post-up': at(
    SERVER,
    'post-up echo %i 100%%',
    'config.hooks',
    {},
    { 'post-up': 'echo %i 100%%' },
  ),
  'pre-down': at(
    SERVER,
    'pre-down echo %i 100%%',
    'config.hooks',
    {},
    { 'pre-down': 'echo %i 100%%' },
  ),
  'post-down': at(
    SERVER,
    'post-down echo %i 100%%',
    'config.hooks',
    {},
    { 'post-down': 'echo %i 100%%' },
  ),
  'peer-up': at(
    SERVER,
    'peer-up echo %i 100%%',
    'config.hooks',
    {},
    { 'peer-up': 'echo %i 100%%' },
  ),
  'peer-moved': at(
    SERVER,
    'peer-moved echo %i 100%%',
    'config.hooks',
    {},
    { 'peer-moved': 'echo %i 100%%' },
  ),
  'peer-down': at(
    SERVER,
    'peer-down echo %i 100%%',
    'config.hooks',
    {},
    { 'peer-down': 'echo %i 100%%' },
  ),
  'mtu-changed': at(
    SERVER,
    'mtu-changed echo %i 100%%',
    'config.hooks',
    {},
    { 'mtu-changed': 'echo %i 100%%' },
  ),
  verify: at(SERVER, 'verify ask %i 100%%', 'config.hooks', {}, { verify: 'ask %i 100%%' }),
  'fou-family': at(SERVER, 'fou-family ipv6', 'config.outer.family', 'auto', 'ipv6'),
  'fou-local-port': at(SERVER, 'fou-local-port 7', 'config.outer.localPort', 10000, 7),
  'fou-dev': at(SERVER, 'fou-dev eth0.10', 'config.outer.device', undefined, 'eth0.10'),
  'fou-local-ip-alt': at(
    SERVER,
    'fou-local-ip-alt 10.1.1.1',
    'config.outer.localIpAlt',
    '172.29.0.0',
    '10.1.1.1',
  ),
  'force-fou-local-ip-alt': at(
    SERVER,
    'force-fou-local-ip-alt',
    'config.outer.forceLocalIpAlt',
    false,
    true,
  ),
  'invite-address': at(SERVER, 'invite-address vps.example:9', 'config.invite', undefined, {
    host: 'vps.example',
    port: 9,
  }),
  'invited-until': at(
    INVITING,
    'invited-until 2027-01-31T12:00:00Z',
    'config.peers.0.invitedUntil',
    undefined,
    1_801_396_800,
  ),
  'fou-remote': at(
    SERVER,
    'fou-remote home.example:9',
    'config.peers.0',
    expect.objectContaining({ remoteHost: undefined, remotePort: undefined }),
    expect.objectContaining({ remoteHost: 'home.example', remotePort: 9 }),
  ),
  'fou-remote-ip': at(
    SERVER,
    'fou-remote-ip home.example',
    'config.peers.0.remoteHost',
    undefined,
    'home.example',
  ),
  'fou-remote-port': at(SERVER, 'fou-remote-port 9', 'config.peers.0.remotePort', undefined, 9),
  expose: at(TOKEN_SERVER, 'expose tcp/2222:22', 'config.peers.0.exposed.services', undefined, [
    {
      ...{ publicIp: undefined, protocol: 'tcp', first: 2222, last: 2222 },
      ...{ targetIp: undefined, targetPort: 22 },
      limits: { from: undefined, rate: undefined, connections: undefined },
    },
  ]),
  'public-ip': at(
    `${TOKEN_SERVER}allowed-ips 10.9.0.0/16\n`,
    'public-ip 198.51.100.7',
    'config.peers.0.publicIps',
    undefined,
    ['198.51.100.7'],
  ),
  'expose-from': at(
    `${TOKEN_SERVER}expose tcp/443\n`,
    'expose-from 203.0.113.0/24',
    'config.peers.0.exposed.from',
    [],
    [{ ip: '203.0.113.0', length: 24 }],
  ),
  'return-path': at(CLIENT, 'return-path tunnel', 'config.returnPath', undefined, {
    table: undefined,
    mark: undefined,
  }),
  'return-path-table': at(
    `${CLIENT}return-path tunnel\n`,
    'return-path-table 5000',
    'config.returnPath.table',
    undefined,
    5000,
  ),
  'return-path-mark': at(
    `${CLIENT}return-path tunnel\n`,
    'return-path-mark 0x100/0xff00',
    'config.returnPath.mark',
    undefined,
    { value: 0x100, mask: 0xff00 },
  ),
  table: at(`${CLIENT}allowed-ips 0.0.0.0/0\n`, 'table auto', 'config.table', undefined, 'auto'),
  'kill-switch': at(CLIENT, 'kill-switch strict', 'config.killSwitch', undefined, 'strict'),
  dns: at(CLIENT, 'dns 1.1.1.1, fd00::1 ~corp.example', 'config.dns', undefined, {
    servers: ['1.1.1.1', 'fd00::1'],
    domains: ['~corp.example'],
  }),
  masquerade: at(TOKEN_SERVER, 'masquerade', 'config.masquerade', undefined, true),
  'tunl-dev': at(SERVER, 'tunl-dev home', 'config.inner.device', 'ipipou0', 'home'),
  'tunl-ip': at(
    SERVER,
    'tunl-ip fd28::4, 10.0.0.4',
    'config.inner',
    expect.objectContaining({ ips: ['172.28.0.0'] }),
    expect.objectContaining({ ips: ['10.0.0.4', 'fd28::4'] }),
  ),
  'tunl-peer-ip': at(
    CLIENT,
    'tunl-peer-ip 10.9.0.9',
    'config.peers.0.innerIps',
    ['10.9.0.0'],
    ['10.9.0.9'],
  ),
  'allowed-ips': at(
    TOKEN_SERVER,
    'allowed-ips 10.1.0.0/16, 10.2.0.1',
    'config.peers.0.allowedIps',
    'any',
    [
      { ip: '172.28.0.1', length: 32 },
      { ip: '10.1.0.0', length: 16 },
      { ip: '10.2.0.1', length: 32 },
    ],
  ),
  peer: at(
    TOKEN_SERVER,
    'peer a\nauth-token a\ntunl-peer-ip 10.9.0.1',
    'config.peers.1.id',
    undefined,
    'a',
  ),
  mtu: at(SERVER, 'mtu 1400', 'config.inner.mtu', undefined, 1400),
  'outer-fragments': at(
    SERVER,
    'outer-fragments\nmtu 1500',
    'config.outer.fragments',
    undefined,
    true,
  ),
  'no-encap-csum': at(SERVER, 'no-encap-csum', 'config.outer.udpChecksum', undefined, false),
  dataplane: at(SERVER, 'dataplane tun', 'config.dataplane', 'auto', 'tun'),
  'status-group': at(SERVER, 'status-group adm', 'config.statusGroup', 'ipipou', 'adm'),
  'nft-table': at(SERVER, 'nft-table my_table-2', 'config.nft.table', 'ipipou', 'my_table-2'),
  'no-nft-counter': at(SERVER, 'no-nft-counter', 'config.nft.counters', true, false),
  verb: at(SERVER, 'verb 0', 'log.level', 'info', 'error'),
  v: at(SERVER, 'v', 'log.level', 'info', 'debug'),
  'no-log-time': at(SERVER, 'no-log-time', 'log.time', true, false),
  'no-log-pid': at(SERVER, 'no-log-pid', 'log.pid', true, false),
};

function partOf(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, name) => {
    if (typeof inner !== 'object' || inner === null) return undefined;
    return Object.getOwnPropertyDescriptor(inner, name)?.value as unknown;
  }, value);
}

for (const [name, { base, line, part, without, with: withIt }] of Object.entries(EFFECTS)) {
  test(`${name} changes ${part}`, () => {
    // The one base that does not resolve is the empty one, a client that has nothing.
    const before = base === '' ? undefined : partOf(resolveRun(base), part);
    expect(before).toEqual(without);
    expect(partOf(resolveRun(`${base}${line}\n`), part)).toEqual(withIt);
  });
}

/** What a running tunnel cannot change. */
const fixed = Object.entries(EFFECTS).filter(
  ([name, { base, part }]) =>
    findOption(name)?.peer === undefined &&
    // Followed by a reload, or read by commands every time.
    !['peer', 'verb', 'v', 'invite-address'].includes(name) &&
    base !== '' &&
    /^(config|log)\./.test(part),
);

test.each(fixed)('a running tunnel is told that %s needs a restart', (name, { base, line }) => {
  const flags: Readonly<Record<string, string>> = { 'no-encap-csum': 'encap-csum' };
  const [before, after] = [resolveRun(base), resolveRun(`${base}${line}\n`)];
  expect(needsRestart(before, before)).toEqual([]);
  const named = needsRestart(before, after);
  if (name === 'fou-local') expect(named).toEqual(['fou-local-ip', 'fou-local-port', 'fou-dev']);
  else expect(named).toContain(flags[name] ?? name);
});

test('a change of role needs a restart', () => {
  const [client, server] = [resolveRun(CLIENT), resolveRun(`server\n${CLIENT}`)];
  expect(needsRestart(client, server)).toEqual(['server']);
});

/** Options whose effect takes more than one line to see. */
const OTHERS: Readonly<Record<string, () => void>> = {
  client: () => {
    expect(resolveRun(`server\n${CLIENT}`).config.role).toBe('server');
    expect(resolveRun(`server\n${CLIENT}`, '--client').config.role).toBe('client');
  },
  'encap-csum': () => {
    const text = 'server\nno-encap-csum\n';
    expect(resolveRun(text).config.outer.udpChecksum).toBe(false);
    expect(resolveRun(text, '--encap-csum').config.outer.udpChecksum).toBe(true);
  },
  'auth-key-type': () => {
    expect(resolveRun(`${KEY_SERVER}auth-key-type ed25519\n`).warnings).toEqual([]);
    expect(configError(`${KEY_SERVER}auth-key-type rsa\n`).exit).toBe('notImplemented');
  },
  'auth-keygen': () => {
    expect(resolveTexts({}, '--auth-keygen')).toEqual({ action: 'keygen', labelled: false });
    expect(resolveTexts({}, '--auth-keygen -v')).toEqual({ action: 'keygen', labelled: true });
  },
  version: () => expect(resolveTexts({}, '--version')).toEqual({ action: 'version' }),
  help: () => expect(resolveTexts({}, '--help')).toEqual({ action: 'help' }),
  config: () => {
    expect(parseArguments(['--config', 'a', '--config=./b/c.conf']).configs).toEqual([
      { name: 'a', path: '/etc/ipipou/a.conf' },
      { name: 'c', path: './b/c.conf' },
    ]);
    expect(resolveRun(SERVER).config.name).toBe('ipipou0');
    expect(resolveRun(SERVER, '--config a').config.name).toBe('a');
  },
};

for (const [name, check] of Object.entries(OTHERS)) {
  test(`${name} changes the result`, () => {
    expect.hasAssertions();
    check();
  });
}

test('every option of the table has a case here', () => {
  const cases = [...Object.keys(EFFECTS), ...Object.keys(OTHERS)];
  expect(cases.toSorted()).toEqual(OPTIONS.map(({ name }) => name).toSorted());
});

test('mtu may be left to the path', () => {
  expect(resolveRun(`${SERVER}mtu auto\n`).config.inner.mtu).toBe('auto');
});

test('status-group none leaves the tunnel to root', () => {
  expect(resolveRun(`${SERVER}status-group none\n`).config.statusGroup).toBeUndefined();
});

test('names and short forms are unique, and short forms are the documented ones', () => {
  const names = OPTIONS.flatMap(({ name, short }) =>
    short === undefined ? [name] : [name, short],
  );
  expect(new Set(names).size).toBe(names.length);
  const short = OPTIONS.flatMap((option) => (option.short === undefined ? [] : [option.short]));
  expect([...short, 'v'].toSorted()).toEqual(['b', 'c', 'h', 'n', 'q', 'r', 's', 'v']);
});

test.each([
  ['-s', 'server', ''],
  ['-n 4', 'number', '4'],
  ['-n4', 'number', '4'],
  ['-n=4', 'number', '4'],
  ['-q 5', 'queue-number', '5'],
  ['-b @e', 'fou-local', '@e'],
  ['-r h:1', 'fou-remote', 'h:1'],
  ['-c', 'client', ''],
  ['-h', 'help', ''],
])('%s is short for %s', (spelling, name, text) => {
  const { settings, problems } = parseArguments(spelling.split(' '));
  expect(problems).toEqual([]);
  expect(settings.map((setting) => [setting.option.name, setting.text])).toEqual([[name, text]]);
});

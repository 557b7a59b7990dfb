import { expect, test } from 'vitest';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { OPTIONS } from '../../../src/core/config/options.ts';
import { formatBase64 } from '../../../src/core/base64.ts';
import { parseConfigFile, parseSection } from '../../../src/core/config/parse-file.ts';
import { formatPrefix } from '../../../src/core/addr.ts';
import type { PeerConfig } from '../../../src/core/config/tunnel-config.ts';
import { PRIVATE_KEY, PUBLIC_KEY, configError, resolveRun } from './resolve-texts.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);
/** A public key by its number. */
const publicKey = (number: number) => formatBase64(new Uint8Array(32).fill(number));

const BASE = 'server\nauth-secret s\n';
const LAPTOP = `peer laptop\nauth-remote-pubkey-b64 ${publicKey(1)}\ntunl-peer-ip 172.28.0.2\n`;
const PHONE = `peer phone\nauth-remote-pubkey-b64 ${publicKey(2)}\ntunl-peer-ip 172.28.0.3\n`;

const peersOf = (text: string): readonly PeerConfig[] => resolveRun(text).config.peers;
const allowed = (peer: PeerConfig | undefined): readonly string[] | 'any' | undefined =>
  peer?.allowedIps === 'any' ? 'any' : peer?.allowedIps.map(formatPrefix);

test('sections are peers, in the order of the file', () => {
  const { config, warnings } = resolveRun(`${BASE}${LAPTOP}${PHONE}`);
  expect(warnings).toEqual([]);
  expect(config.peers.map(({ id, innerIps }) => [id, innerIps.join()])).toEqual([
    ['laptop', '172.28.0.2'],
    ['phone', '172.28.0.3'],
  ]);
  expect(config.peers[1]?.proof).toMatchObject({
    kind: 'ed25519',
    peerPublicKey: decodePublicKey(new Uint8Array(32).fill(2)),
    secret: utf8('s'),
  });
  expect(config.peers.map(allowed)).toEqual([['172.28.0.2/32'], ['172.28.0.3/32']]);
});

test('what stands before the sections and says who it is, is the default peer, and comes first', () => {
  for (const [line, kind] of [
    [`auth-remote-pubkey-b64 ${PUBLIC_KEY}`, 'ed25519'],
    ['auth-token t', 'token'],
    ['auth-by-remote-ip\nfou-remote-ip 192.0.2.1', 'none'],
    ['auth-by-remote-port\nfou-remote-port 5', 'none'],
  ] as const) {
    const peers = peersOf(`${BASE}${line}\n${LAPTOP}`);
    expect(peers.map(({ id }) => id)).toEqual(['default', 'laptop']);
    expect(peers[0]?.proof.kind).toBe(kind);
  }
});

test('a server without a proof before the sections has no default peer', () => {
  expect(peersOf(`${BASE}auth-key-b64 ${PRIVATE_KEY}\nreply-on-auth-ok\n${LAPTOP}`)).toMatchObject([
    { id: 'laptop', auth: { replyOnAuthOk: true } },
  ]);
});

test('the default peer takes every address only while it is alone', () => {
  const server = `${BASE}auth-token t\n`;
  expect(allowed(peersOf(server)[0])).toBe('any');
  expect(allowed(peersOf(`${server}${LAPTOP}`)[0])).toEqual(['172.28.0.1/32']);
  const everything = `${server}allowed-ips 0.0.0.0/0\n`;
  expect(allowed(peersOf(`${everything}${LAPTOP}`)[0])).toEqual(['172.28.0.1/32', '0.0.0.0/0']);
  expect(allowed(peersOf(everything)[0])).toEqual(['172.28.0.1/32', '0.0.0.0/0']);
});

test('a single section takes its own addresses only', () => {
  expect(allowed(peersOf(`${BASE}${LAPTOP}`)[0])).toEqual(['172.28.0.2/32']);
});

test.each([
  ['10.1.0.0/16', ['10.1.0.0/16']],
  ['10.1.0.0/16,10.2.3.4', ['10.1.0.0/16', '10.2.3.4/32']],
  ['  10.1.0.0/16 ,\t 10.2.3.4 ', ['10.1.0.0/16', '10.2.3.4/32']],
  ['10.1.0.0/16 10.1.2.0/24', ['10.1.0.0/16', '10.1.2.0/24']],
  ['0.0.0.0/0', ['0.0.0.0/0']],
  ['10.1.2.0/24, 10.1.2.0/24', ['10.1.2.0/24']],
  ['172.28.0.2, 10.0.0.0/8', ['10.0.0.0/8']],
])('allowed-ips %j, and always the inner address', (value, prefixes) => {
  const [peer] = peersOf(`${BASE}${LAPTOP}allowed-ips ${value}\n`);
  expect(allowed(peer)).toEqual(['172.28.0.2/32', ...prefixes]);
});

test('prefixes of different lengths may overlap between peers', () => {
  const peers = peersOf(
    `${BASE}${LAPTOP}allowed-ips 10.0.0.0/8\n${PHONE}allowed-ips 10.1.0.0/16\n`,
  );
  expect(peers).toHaveLength(2);
});

test('sections inherit timers, secret, own key, ttl and replies, and may say otherwise', () => {
  const peers = peersOf(
    `${BASE}auth-lifetime 1\nkeepalive 2\nconnection-idle 3\nauth-max-time-discrepancy 4\n` +
      `auth-packet-ttl 5\nreply-on-auth-ok\nauth-key-b64 ${PRIVATE_KEY}\n` +
      `${LAPTOP}${PHONE}keepalive 20\nauth-secret other\nauth-packet-ttl 50\n`,
  );
  const common = { authLifetime: 1, connectionIdle: 3 };
  expect(peers).toMatchObject([
    {
      timers: { ...common, keepalive: 2 },
      auth: { packetTtl: 5, replyOnAuthOk: true },
      proof: { secret: utf8('s') },
    },
    {
      timers: { ...common, keepalive: 20 },
      auth: { packetTtl: 50, replyOnAuthOk: true },
      proof: { secret: utf8('other') },
    },
  ]);
  for (const { proof } of peers) {
    expect(proof).toMatchObject({
      privateSeed: expect.any(Uint8Array),
      maxTimeDiscrepancy: 4,
    });
  }
});

test('the command line is the default of sections as well', () => {
  const { config } = resolveRun(`${BASE}${LAPTOP}`, '--keepalive 7');
  expect(config.peers[0]?.timers.keepalive).toBe(7);
});

test('what is inherited is not copied for every peer', () => {
  const [laptop, phone] = peersOf(`${BASE}keepalive 25\n${LAPTOP}${PHONE}`);
  expect(laptop?.timers).toBe(phone?.timers);
  expect(laptop?.auth).toBe(phone?.auth);
  const [one, other] = [laptop?.proof, phone?.proof];
  if (one?.kind !== 'ed25519' || other?.kind !== 'ed25519') throw new Error('keys were given');
  expect(one.secret).toBe(other.secret);
  const [a, b] = peersOf(`server\n${LAPTOP}${PHONE}`).map(({ proof }) => proof);
  if (a?.kind !== 'ed25519' || b?.kind !== 'ed25519') throw new Error('keys were given');
  expect(a.secret).toBe(b.secret);
});

test('who the other side is, and where, is not inherited', () => {
  const peers = peersOf(
    `${BASE}auth-remote-pubkey-b64 ${PUBLIC_KEY}\nfou-remote 192.0.2.1:5\nauth-by-remote-ip\n` +
      'auth-by-remote-port\ntunl-peer-ip 172.28.0.9\n' +
      'peer a\nauth-token t\ntunl-peer-ip 172.28.0.2\n',
  );
  expect(peers[1]).toEqual({
    id: 'a',
    proof: { kind: 'token', token: utf8('t') },
    auth: {
      byRemoteIp: false,
      byRemotePort: false,
      packetTtl: undefined,
      replyOnAuthOk: false,
      session: 'auto',
      integrity: 'none',
    },
    timers: { authLifetime: 0, keepalive: 0, connectionIdle: 120, deadPeerTimeout: 30 },
    remoteHost: undefined,
    remotePort: undefined,
    innerIps: ['172.28.0.2'],
    allowedIps: [{ ip: '172.28.0.2', length: 32 }],
  });
});

test("a client's sections are its servers", () => {
  const text =
    `client\ntunl-ip 172.28.0.5\nauth-key-b64 ${PRIVATE_KEY}\nauth-secret s\n` +
    `peer home\nfou-remote home.example:10000\n` +
    `peer work\nfou-remote 192.0.2.2:10000\ntunl-peer-ip 172.28.0.1\n` +
    `auth-remote-pubkey-b64 ${PUBLIC_KEY}\nallowed-ips 10.0.0.0/8\n`;
  const { config, warnings } = resolveRun(text);
  expect(warnings).toEqual([]);
  expect(config.inner.ips).toEqual(['172.28.0.5']);
  expect(config.peers).toMatchObject([
    { id: 'home', remoteHost: 'home.example', remotePort: 10000, innerIps: ['172.28.0.4'] },
    { id: 'work', remoteHost: '192.0.2.2', remotePort: 10000, innerIps: ['172.28.0.1'] },
  ]);
  expect(allowed(config.peers[1])).toEqual(['172.28.0.1/32', '10.0.0.0/8']);
});

test("a client's default peer exists where a server to go to is given", () => {
  const home = 'peer home\nfou-remote home.example:1\ntunl-peer-ip 10.0.0.9\n';
  const ids = (text: string) => peersOf(text).map(({ id }) => id);
  expect(ids(`tunl-ip 10.0.0.2\nfou-remote h:1\n${home}`)).toEqual(['default', 'home']);
  expect(ids(`tunl-ip 10.0.0.2\n${home}`)).toEqual(['home']);
});

test('a server section may go by the remote address alone', () => {
  const text = `${BASE}auth-key-b64 ${PRIVATE_KEY}\npeer a\nauth-by-remote-ip\nfou-remote-ip 192.0.2.1\ntunl-peer-ip 172.28.0.2\n`;
  expect(peersOf(text)[0]).toMatchObject({ auth: { byRemoteIp: true }, proof: { kind: 'none' } });
});

test('sections of several files stand beside each other', () => {
  const { config } = resolveRun({ a: `${BASE}${LAPTOP}`, b: `keepalive 3\n${PHONE}` });
  expect(config.peers.map(({ id, timers }) => [id, timers.keepalive])).toEqual([
    ['laptop', 3],
    ['phone', 3],
  ]);
});

test('a section goes to the next peer line, whatever blanks and hyphens stand before it', () => {
  const { settings, sections, problems } = parseConfigFile(
    'server\n peer a\n\n# c\n\tkeepalive 1\n--peer b\nr h:1\n',
    'f',
  );
  expect(problems).toEqual([]);
  expect(settings.map(({ option }) => option.name)).toEqual(['server']);
  expect(
    sections.map((section) => [
      section.id,
      section.line,
      parseSection(section).settings.map(({ option, line }) => [line, option.name]),
    ]),
  ).toEqual([
    ['a', 2, [[5, 'keepalive']]],
    ['b', 6, [[7, 'fou-remote']]],
  ]);
});

test('what follows a faulty peer line is not the peer before it', () => {
  for (const line of ['peer', 'peer default', 'peer  b']) {
    const { sections, problems } = parseConfigFile(`peer a\n${line}\nkeepalive 1\n`, 'f');
    expect(problems.map(({ line: at, key }) => [at, key])).toEqual([[2, 'peer']]);
    expect(sections.map(parseSection)).toEqual([{ settings: [], problems: [] }]);
  }
});

test('an option fills the slots that its row names', () => {
  const values = [
    PUBLIC_KEY,
    'text',
    '7',
    '3',
    '',
    '192.0.2.1:7',
    '192.0.2.1:7@d',
    '192.0.2.1',
    'tun',
    'none',
    'ed25519',
    'auto',
    'tunnel',
    'lan',
    '5000',
    '2027-01-31T12:00:00Z',
  ];
  for (const { name, slots, read } of OPTIONS) {
    const filled = values
      .map((value) => read(value))
      .flatMap((reading) => (reading.ok ? [Object.keys(reading.value)] : []));
    expect(filled.length, name).toBeGreaterThan(0);
    expect(filled.at(-1)?.toSorted(), name).toEqual([...slots].toSorted());
  }
});

test('what an option changes in a running tunnel stands in one row for each slot', () => {
  const told = OPTIONS.filter(({ fixed, kept }) => fixed ?? kept).flatMap(({ slots }) => slots);
  expect(new Set(told).size).toBe(told.length);
  const untold = OPTIONS.flatMap(({ name, slots }) =>
    slots.filter((slot) => !told.includes(slot)).map((slot) => `${name}: ${slot}`),
  );
  // What is no part of a tunnel's config, follows from it, or changes while it runs.
  expect(untold).toEqual([
    'config: configFile',
    'peer: peer',
    'reauth-only: reauthOnly',
    'version: version',
    'help: help',
    'auth: auth',
    'auth-key-type: keyType',
    'auth-keygen: keygen',
    'invite-address: inviteHost',
    'invite-address: invitePort',
    'verb: verbosity',
    'v: moreVerbose',
  ]);
});

test('warnings about single sections are bounded', () => {
  const section = (number: number) =>
    `peer p${number}\nauth-token t${number}\nauth-secret s\ntunl-peer-ip 172.28.1.${number}\n`;
  const sections = Array.from({ length: 30 }, (_, index) => section(index + 1)).join('');
  const { warnings } = resolveRun(`server\n${sections}`);
  expect(warnings).toHaveLength(21);
  expect(warnings[0]).toBe('t.conf:4: auth-secret: no effect without keys');
  expect(warnings[20]).toBe('10 more of this kind about peers');
});

test('every faulty section is reported', () => {
  const error = configError(`${BASE}peer a\npeer b\nkeepalive x\n`);
  expect(error.message.split('\n')).toEqual([
    expect.stringMatching(/^t\.conf:3: auth-remote-pubkey-b64: no value: expected the client's/),
    't.conf:3: tunl-peer-ip: no value: expected an address inside the tunnel for it: 172.28.0.1 is free',
    expect.stringMatching(/^t\.conf:4: auth-remote-pubkey-b64: no value/),
    't.conf:4: tunl-peer-ip: no value: expected an address inside the tunnel for it: 172.28.0.2 is free',
    't.conf:5: keepalive: "x": expected a whole number of seconds from 0 to 86400',
  ]);
});

test('the address that is suggested is free', () => {
  const error = configError(`${BASE}peer a\nauth-token a\n${LAPTOP}allowed-ips 172.28.0.1\n`);
  expect(error.message).toContain('172.28.0.3 is free');
});

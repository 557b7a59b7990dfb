import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { formatBase64, parseBase64 } from '../../../src/core/base64.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { parseConfigFile } from '../../../src/core/config/parse-file.ts';
import { resolveConfig } from '../../../src/core/config/resolve.ts';
import { PRIVATE_KEY, PUBLIC_KEY, resolveRun } from './resolve-texts.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);

const SERVER = `server
number 0
fou-dev eth0
fou-local-port 10000
tunl-ip 172.28.0.0
auth-remote-pubkey-b64 ${PUBLIC_KEY}
auth-secret topsecret
auth-lifetime 3600
reply-on-auth-ok
verb 3
`;

const CLIENT = `client
number 0
fou-local @eth0
fou-remote 203.0.113.1:10000
tunl-ip 172.28.0.1
auth-key-b64 ${PRIVATE_KEY}
auth-secret topsecret
keepalive 27
verb 3
`;

test("the description's server config resolves as it stands", () => {
  const files = [parseConfigFile(SERVER, '/etc/ipipou/server0.conf')];
  const commandLine = parseArguments(['--config', 'server0']);
  expect(commandLine.configs).toEqual([{ name: 'server0', path: '/etc/ipipou/server0.conf' }]);
  expect(resolveConfig({ files, commandLine })).toEqual({
    action: 'run',
    base: expect.anything() as unknown,
    log: { level: 'debug', time: true, pid: true },
    warnings: [],
    config: {
      name: 'server0',
      role: 'server',
      number: 0,
      dataplane: 'auto',
      outer: {
        localIps: [],
        family: 'auto',
        localPort: 10000,
        device: 'eth0',
        localIpAlt: '172.29.0.0',
        forceLocalIpAlt: false,
        udpChecksum: undefined,
      },
      inner: { device: 'ipipou0', ips: ['172.28.0.0'], mtu: undefined },
      queue: { number: 0, maxLength: 24 },
      statusGroup: 'ipipou',
      nft: { table: 'ipipou', counters: true },
      hooks: {},
      peers: [
        {
          id: 'default',
          proof: {
            kind: 'ed25519',
            privateSeed: undefined,
            peerPublicKey: PUBLIC_KEY,
            secret: utf8('topsecret'),
            maxTimeDiscrepancy: 300,
          },
          auth: {
            byRemoteIp: false,
            byRemotePort: false,
            packetTtl: undefined,
            replyOnAuthOk: true,
            session: 'auto',
            integrity: 'none',
          },
          timers: { authLifetime: 3600, keepalive: 0, connectionIdle: 120, deadPeerTimeout: 30 },
          remoteHost: undefined,
          remotePort: undefined,
          innerIps: ['172.28.0.1'],
          allowedIps: 'any',
        },
      ],
    },
  });
});

test("the description's client config resolves as it stands", () => {
  expect(resolveRun(CLIENT)).toEqual({
    action: 'run',
    base: expect.anything() as unknown,
    log: { level: 'debug', time: true, pid: true },
    warnings: [],
    config: {
      name: 'ipipou0',
      role: 'client',
      number: 0,
      dataplane: 'auto',
      outer: {
        localIps: [],
        family: 'auto',
        localPort: 10000,
        device: 'eth0',
        localIpAlt: '172.29.0.0',
        forceLocalIpAlt: false,
        udpChecksum: undefined,
      },
      inner: { device: 'ipipou0', ips: ['172.28.0.1'], mtu: undefined },
      queue: { number: 0, maxLength: 24 },
      statusGroup: 'ipipou',
      nft: { table: 'ipipou', counters: true },
      hooks: {},
      peers: [
        {
          id: 'default',
          proof: {
            kind: 'ed25519',
            privateSeed: parseBase64(PRIVATE_KEY),
            peerPublicKey: undefined,
            secret: utf8('topsecret'),
            maxTimeDiscrepancy: 300,
          },
          auth: {
            byRemoteIp: false,
            byRemotePort: false,
            packetTtl: undefined,
            replyOnAuthOk: false,
            session: 'auto',
            integrity: 'none',
          },
          timers: { authLifetime: 0, keepalive: 27, connectionIdle: 120, deadPeerTimeout: 30 },
          remoteHost: '203.0.113.1',
          remotePort: 10000,
          innerIps: ['172.28.0.0'],
          allowedIps: 'any',
        },
      ],
    },
  });
});

test("the description's command lines say the same as its files", () => {
  const server = `-s -vvv -b @eth0 -n0 --auth-secret topsecret --auth-remote-pubkey-b64 ${PUBLIC_KEY}`;
  expect(resolveRun({}, `${server} --auth-lifetime 3600 --reply-on-auth-ok`)).toEqual(
    resolveRun(SERVER),
  );
  const client =
    `-c -vvv -b @eth0 -r 203.0.113.1:10000 --auth-key-b64 ${PRIVATE_KEY} ` +
    '--auth-secret topsecret --tunl-ip 172.28.0.1 --keepalive 27';
  expect(resolveRun({}, client)).toEqual(resolveRun(CLIENT));
});

test('keys on both sides let the server sign its replies and the client verify them', () => {
  const server = resolveRun(`${SERVER}auth-key-b64 ${PRIVATE_KEY}\n`);
  const client = resolveRun(`${CLIENT}auth-remote-pubkey-b64 ${PUBLIC_KEY}\n`);
  for (const { config, warnings } of [server, client]) {
    expect(config.peers[0]?.proof).toMatchObject({
      kind: 'ed25519',
      privateSeed: parseBase64(PRIVATE_KEY),
      peerPublicKey: PUBLIC_KEY,
    });
    expect(warnings).toEqual([]);
  }
});

const page = (name: string): string =>
  readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8');

/** The two files that stand beside each other in the manual, with keys where it has words for them. */
function manualFiles(): readonly [server: string, client: string] {
  const [, section = ''] = page('docs/MANUAL.md').split('\n## Many peers\n');
  const [, block = ''] = section.split('```\n');
  const column = block.split('\n')[0]?.indexOf('client') ?? 0;
  let keys = 0;
  const fill = (line: string) =>
    line
      .trimEnd()
      .replace(/PRIVATE_LINE\w*/, PRIVATE_KEY)
      .replace(/PUBLIC_LINE\w*/, () => formatBase64(new Uint8Array(32).fill((keys += 1))))
      .replace('HOME_IP', '203.0.113.1')
      .replace('SPARE_IP', '203.0.113.2');
  const lines = block.split('\n');
  return [
    lines.map((line) => fill(line.slice(0, column))).join('\n'),
    lines.map((line) => fill(line.slice(column))).join('\n'),
  ];
}

test("the manual's server of three clients, and client of two servers, resolve as they stand", () => {
  const [server, client] = manualFiles();
  const peersOf = (text: string) =>
    resolveRun(text).config.peers.map(({ id, innerIps }) => [id, innerIps.join()]);
  expect(peersOf(server)).toEqual([
    ['laptop', '172.28.0.1'],
    ['office', '172.28.0.2'],
    ['phone', '172.28.0.3'],
  ]);
  expect(resolveRun(server)).toMatchObject({ warnings: [], config: { role: 'server' } });
  expect(resolveRun(client)).toMatchObject({
    config: { role: 'client', inner: { ips: ['172.28.0.2'] } },
  });
});

/** A file that the manual makes with cat, with what the shell puts in. */
function fileByHand(name: string): string {
  const [, text = ''] = page('docs/MANUAL.md').split(`cat > ${name} << END\n`);
  return (text.split('\nEND\n')[0] ?? '')
    .replace('$(sed -n 1p client.key)', PRIVATE_KEY)
    .replace('$(sed -n 2p client.key)', PUBLIC_KEY)
    .replace('$secret', 'topsecret')
    .replace('SERVER:', '203.0.113.1:');
}

test("the manual's files by hand resolve, without a warning, and fit", () => {
  const server = resolveRun(fileByHand('home.conf'));
  const client = resolveRun(fileByHand('client.conf'));
  expect([server.warnings, client.warnings]).toEqual([[], []]);
  expect([server.config.role, client.config.role]).toEqual(['server', 'client']);
  expect(server.config.peers[0]?.innerIps).toEqual(client.config.inner.ips);
  expect(client.config.peers[0]?.remotePort).toBe(server.config.outer.localPort);
});

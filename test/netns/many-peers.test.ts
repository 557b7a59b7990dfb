import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { generateKeyPair } from '../../src/adapters/crypto.ts';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { ipv4Add } from '../../src/core/addr.ts';
import { formatBase64 } from '../../src/core/config/base64.ts';
import { millis } from '../../src/core/units.ts';
import { ip } from '../rig/addresses.ts';
import { Hosts, type Daemon } from '../rig/daemon.ts';
import { expectPing } from '../rig/traffic.ts';

/*
 * One server with one device and one port, and several clients behind one address, each with a key of
 * its own. The drawing is at the head of src/adapters/lab/topology.ts.
 */
const COUNT = 4;
const SERVER = ip('172.28.0.1');
const innerOf = (index: number) => ipv4Add(SERVER, index + 1);

const serverKeys = generateKeyPair();
const clientKeys = Array.from({ length: COUNT }, generateKeyPair);

const serverLines = (): readonly string[] => [
  'server',
  'dataplane tun',
  'fou-dev eth0',
  `tunl-ip ${SERVER}`,
  `auth-key-b64 ${formatBase64(serverKeys.privateSeed)}`,
  'auth-secret topsecret',
  'auth-lifetime 3600',
  'reply-on-auth-ok',
  'verb 3',
  ...clientKeys.flatMap(({ publicKey }, index) => [
    `peer client-${index}`,
    `auth-remote-pubkey-b64 ${formatBase64(publicKey)}`,
    `tunl-peer-ip ${innerOf(index)}`,
  ]),
];

const clientLines = (index: number, keepalive = 1): readonly string[] => [
  'client',
  'dataplane tun',
  'fou-local @eth0',
  'fou-remote 203.0.113.1:10000',
  `tunl-ip ${innerOf(index)}`,
  `tunl-peer-ip ${SERVER}`,
  `auth-key-b64 ${formatBase64(clientKeys[index]?.privateSeed ?? new Uint8Array())}`,
  `auth-remote-pubkey-b64 ${formatBase64(serverKeys.publicKey)}`,
  'auth-secret topsecret',
  `keepalive ${keepalive}`,
  'verb 3',
];

let lab: Topology;
let hosts: Hosts;
const daemons: Daemon[] = [];

beforeAll(async () => {
  lab = await up({ clients: COUNT });
  hosts = await Hosts.in(lab);
});

afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
});

afterAll(async () => {
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

async function start(namespace: string, lines: readonly string[]): Promise<Daemon> {
  const daemon = await hosts.start(namespace, lines);
  daemons.push(daemon);
  return daemon;
}

async function startAll(keepalive: number): Promise<Daemon> {
  const server = await start(lab.server, serverLines());
  await server.ready();
  const clients = await Promise.all(
    lab.clients.map((name, index) => start(name, clientLines(index, keepalive))),
  );
  await Promise.all(clients.map((client) => client.established()));
  return server;
}

const carriesAll = (server: Daemon) =>
  server.until('carrying all', ({ carriedCount }) => carriedCount === COUNT, millis(20_000));

test('all clients behind one address reach the server, each by its key', async () => {
  const server = await startAll(27);
  await carriesAll(server);
  for (const name of lab.clients) await expectPing(lab, name, SERVER);
  for (let index = 0; index < COUNT; index++) await expectPing(lab, lab.server, innerOf(index));
  expect((await server.status())?.refused).toEqual({});
});

test('all of them come back when the router deals out other ports', async () => {
  const server = await startAll(1);
  await carriesAll(server);
  await lab.remapNat();
  for (const name of lab.clients) await expectPing(lab, name, SERVER);
});

test('a server that was killed goes on with all of them, without a word of theirs', async () => {
  const server = await startAll(600);
  await carriesAll(server);
  await server.kill();
  const next = await start(lab.server, serverLines());
  await carriesAll(next);
  for (const name of lab.clients) await expectPing(lab, name, SERVER);
});

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { generateKeyPair } from '../../src/adapters/crypto.ts';
import { up, type LabOptions, type Topology } from '../../src/adapters/lab/topology.ts';
import { addToIp } from '../../src/core/addr.ts';
import { formatBase64 } from '../../src/core/base64.ts';
import { millis } from '../../src/core/units.ts';
import { inner } from '../rig/addresses.ts';
import { Hosts, type Daemon } from '../rig/daemon.ts';
import { expectAllPairs, expectPing } from '../rig/traffic.ts';

/*
 * One server with one device and one port, and eight clients behind one address, each with a key of
 * its own. The drawing is at the head of src/adapters/lab/topology.ts. `fou` has its own file in the
 * virtual machine.
 */
type Plane = 'bpf' | 'tun';

const COUNT = 8;
const SERVER = inner('172.28.0.1');
const innerOf = (index: number) => addToIp(SERVER, index + 1);

const serverKeys = generateKeyPair();
const clientKeys = Array.from({ length: COUNT }, generateKeyPair);

const serverLines = (plane: Plane): readonly string[] => [
  'server',
  `dataplane ${plane}`,
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

const clientLines = (plane: Plane, index: number, keepalive: number): readonly string[] => [
  'client',
  `dataplane ${plane}`,
  'fou-local @eth0',
  'fou-remote 203.0.113.1:10000',
  `tunl-ip ${innerOf(index)}`,
  `tunl-peer-ip ${SERVER}`,
  'allowed-ips 172.28.0.0/24',
  `auth-key-b64 ${formatBase64(clientKeys[index]?.privateSeed ?? new Uint8Array())}`,
  `auth-remote-pubkey-b64 ${formatBase64(serverKeys.publicKey)}`,
  'auth-secret topsecret',
  `keepalive ${keepalive}`,
  'verb 3',
];

let lab: Topology;
let hosts: Hosts;
const daemons: Daemon[] = [];

afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
});

/** Closes what `open` has opened. */
async function close(): Promise<void> {
  await hosts[Symbol.asyncDispose]();
  await lab.down();
}

async function open(options: LabOptions): Promise<void> {
  lab = await up({ ...options, clients: COUNT });
  hosts = await Hosts.in(lab);
  await lab.exec(lab.server, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
}

async function start(namespace: string, lines: readonly string[]): Promise<Daemon> {
  const daemon = await hosts.start(namespace, lines);
  daemons.push(daemon);
  return daemon;
}

async function startAll(plane: Plane, keepalive: number): Promise<Daemon> {
  const server = await start(lab.server, serverLines(plane));
  await server.ready();
  const clients = await Promise.all(
    lab.clients.map((name, index) => start(name, clientLines(plane, index, keepalive))),
  );
  await Promise.all(clients.map((client) => client.established()));
  await carriesAll(server);
  return server;
}

const carriesAll = (server: Daemon) =>
  server.until(
    'carrying all',
    ({ establishedCount }) => establishedCount === COUNT,
    millis(20_000),
  );

async function expectAllCarried(server: Daemon): Promise<void> {
  await expectAllPairs(lab, [
    { namespace: lab.server, address: SERVER },
    ...lab.clients.map((namespace, index) => ({ namespace, address: innerOf(index) })),
  ]);
  const all = [await server.status()];
  const each = await Promise.all(clientKeys.map((_, index) => server.peer(`client-${index}`)));
  for (const status of [...all, ...each]) {
    expect(Object.entries(status?.refused ?? {}).filter(([, count]) => count > 0)).toEqual([]);
  }
}

describe.each<Plane>(['bpf', 'tun'])('on %s', (plane) => {
  beforeAll(() => open({}));
  afterAll(close);

  it('carries all pairs of clients behind one address at once, each known by its key', async () => {
    await expectAllCarried(await startAll(plane, 27));
  });

  it('has all of them back when the router deals out other ports', async () => {
    await startAll(plane, 1);
    await lab.remapNat();
    for (const name of lab.clients) await expectPing(lab, name, SERVER);
  });

  it('goes on with all of them after kill -9, without a word of theirs', async () => {
    const server = await startAll(plane, 600);
    await server.kill();
    const next = await start(lab.server, serverLines(plane));
    await carriesAll(next);
    for (const name of lab.clients) await expectPing(lab, name, SERVER);
  });
});

/* What a client has wrapped comes to the server in one kernel marked as tunnelled, and is to be wrapped again. */
describe('on bpf, where checksums and segmentation are left to the receiver', () => {
  beforeAll(() => open({ offloads: 'on', lan: 'routed' }));
  afterAll(close);

  it('carries all pairs of clients', async () => {
    await expectAllCarried(await startAll('bpf', 27));
  });
});

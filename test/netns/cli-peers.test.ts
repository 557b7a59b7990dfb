import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { Finished, Program } from '../../src/adapters/lab/process.ts';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import type { AnsweringTunnel } from '../../src/app/management/survey.ts';
import { inner, ip } from '../rig/addresses.ts';
import { Hosts, type Daemon } from '../rig/daemon.ts';
import { expectNoPing, expectNothingLost, expectPing } from '../rig/traffic.ts';
import { patience, succeeds } from '../rig/patience.ts';

/*
 * Many peers on `dataplane tun`, and the commands that change them while one of them goes on: a
 * server and two clients behind one address. The drawing is at the head of
 * src/adapters/lab/topology.ts.
 */
const SERVER = inner('172.28.0.0');
const ONE = inner('172.28.0.1');
const TWO = inner('172.28.0.2');

const TOP = [
  ...['server', 'dataplane tun', 'fou-dev eth0', 'tunl-ip 172.28.0.0'],
  ...['reply-on-auth-ok', 'verb 3'],
];
const PEER_ONE = ['peer one', 'auth-token token-one', `tunl-peer-ip ${ONE}`];
const PEER_TWO = ['peer two', 'auth-token token-two', `tunl-peer-ip ${TWO}`];

/** A client whose address inside is `inner`. */
const client = (token: string, inner: string): readonly string[] => [
  'client',
  'dataplane tun',
  'fou-local @eth0',
  'fou-remote 203.0.113.1:10000',
  `tunl-ip ${inner}`,
  `tunl-peer-ip ${SERVER}`,
  `auth-token ${token}`,
  'keepalive 1',
  'verb 3',
];

let lab: Topology;
let hosts: Hosts;
const disposables: AsyncDisposable[] = [];

beforeAll(async () => {
  lab = await up({ clients: 2 });
  hosts = await Hosts.in(lab);
});

afterEach(async () => {
  await Promise.all(disposables.splice(0).map((one) => one[Symbol.asyncDispose]()));
});

afterAll(async () => {
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

async function start(
  namespace: string,
  lines: readonly string[],
  device?: string,
): Promise<Daemon> {
  const daemon = await hosts.start(namespace, lines, device);
  disposables.push(daemon);
  return daemon;
}

/** A server with that config, its first client, and that client's ping, which nothing may disturb. */
async function startWithPing(lines: readonly string[]): Promise<{
  readonly server: Daemon;
  readonly ping: Program;
}> {
  const server = await start(lab.server, lines);
  await server.ready();
  const one = await start(lab.client(0), client('token-one', ONE));
  await one.established();
  await expectPing(lab, lab.client(0), SERVER);
  const ping = lab.spawn(lab.client(0), ['ping', '-n', '-i', '0.05', SERVER]);
  disposables.push(ping);
  await ping.waitFor(/icmp_seq=3 /);
  return { server, ping };
}

const onServer = (args: readonly string[], input?: string): Promise<Finished> =>
  hosts.run(lab.server, args, input === undefined ? {} : { input });

async function peersOfServer(): Promise<Readonly<Record<string, string>>> {
  const done = await onServer(['show', 'ipipou0', '--json']);
  const [tunnel] = (JSON.parse(done.stdout) as { tunnels: readonly AnsweringTunnel[] }).tunnels;
  return Object.fromEntries(tunnel?.peers.map(({ id, phase }) => [id, phase]) ?? []);
}

/** Until the server carries that client, and the client's ping comes back. */
async function expectCarried(name: string, namespace: string): Promise<void> {
  await vi.waitFor(
    async () => expect(await peersOfServer()).toMatchObject({ [name]: 'established' }),
    {
      timeout: patience(20_000),
      interval: 50,
    },
  );
  await expectPing(lab, namespace, SERVER);
}

test('show tells of every peer, also through a pipe that takes a part at a time', async () => {
  const names = Array.from({ length: 2000 }, (_unused, number) => `peer-${number}`);
  const sections = names.flatMap((name, number) => [
    ...[`peer ${name}`, `auth-token token-${number}`],
    `tunl-peer-ip 172.29.${number >> 8}.${number & 255}`,
  ]);
  const server = await start(lab.server, [...TOP, ...sections]);
  await server.ready();
  expect(Object.keys(await peersOfServer())).toEqual(names);
});

test('set adds, changes and removes a peer while another one goes on', async () => {
  const { ping } = await startWithPing([...TOP, ...PEER_ONE]);
  const two = await start(lab.client(1), client('a-longer-token-two', TWO));
  await two.ready();
  await expectNoPing(lab, lab.client(1), SERVER);

  const secret = path.join(hosts.folder, 'token');
  writeFileSync(secret, 'a-longer-token-two\n', { mode: 0o600 });
  const words = ['auth-token', `@${secret}`, 'tunl-peer-ip', TWO, 'connection-idle', '9'];
  expect(await onServer(['set', 'ipipou0', 'peer', 'two', ...words])).toMatchObject({
    code: 0,
    stdout: 'ipipou0: peer two set\n',
  });
  await expectCarried('two', lab.client(1));
  expect(await peersOfServer()).toEqual({ one: 'established', two: 'established' });

  // A change of its timers leaves its traffic alone as well.
  expect(await onServer(['set', 'ipipou0', 'peer', 'two', 'keepalive', '3'])).toMatchObject({
    code: 0,
  });
  await expectPing(lab, lab.client(1), SERVER);
  const shown = await onServer(['show', 'ipipou0', 'peer', 'two']);
  expect(shown.stdout).toMatch(/^peer two: established$/m);
  expect(shown.stdout).toMatch(/keepalive +every 3 s$/m);
  expect(shown.stdout).toMatch(/remote +203\.0\.113\.2:/);

  // Another token from standard input, what was known of it is worth nothing.
  const changed = await onServer(['set', 'ipipou0', 'peer', 'two', 'auth-token', '-'], 'other');
  expect(changed).toMatchObject({ code: 0 });
  await expectNoPing(lab, lab.client(1), SERVER);

  expect(await onServer(['set', 'ipipou0', 'peer', 'two', 'remove'])).toMatchObject({
    code: 0,
    stdout: 'ipipou0: peer two removed\n',
  });
  expect(await peersOfServer()).toEqual({ one: 'established' });
  await expectNothingLost(ping);
});

const REFUSED: readonly (readonly [readonly string[], RegExp])[] = [
  [['peer', 'two', 'auth-token', 'x'], /tunl-peer-ip: no value[^]*172\.28\.0\.2 is free/],
  [['peer', 'two', 'auth-token', 'token-one', 'tunl-peer-ip', TWO], /than peer `one`/],
  [['peer', 'one', 'keepalive', 'x'], /keepalive: "x"/],
  [['peer', 'nobody', 'remove'], /the name of a peer of this tunnel/],
  [['peer', 'one', 'auth-token', '@/does/not/exist'], /cannot read the value/],
  [['peer', 'one'], /expected a tunnel, and `peer`, its name, and options, or `verb N`/],
];

test('what set refuses is said at the terminal and changes nothing', async () => {
  const { ping } = await startWithPing([...TOP, ...PEER_ONE]);
  for (const [words, says] of REFUSED) {
    const done = await onServer(['set', 'ipipou0', ...words]);
    expect(done).toMatchObject({ code: 2, stdout: '' });
    expect(done.stderr).toMatch(says);
    expect(done.stderr).not.toContain('token-one');
  }
  expect(await peersOfServer()).toEqual({ one: 'established' });
  await expectNothingLost(ping);
});

test('syncconf and SIGHUP make the peers those of a file; a faulty one changes nothing', async () => {
  const { server, ping } = await startWithPing([...TOP, ...PEER_ONE]);
  const two = await start(lab.client(1), client('token-two', TWO));
  await two.ready();

  const file = await hosts.writeConfig(lab.server, 'both', [...PEER_ONE, ...PEER_TWO]);
  expect(await onServer(['syncconf', 'ipipou0', file])).toMatchObject({
    code: 0,
    stdout: 'ipipou0: peers: 1 added, 0 changed, 0 removed, 1 as before\n',
  });
  await expectCarried('two', lab.client(1));

  const faulty = await hosts.writeConfig(lab.server, 'faulty', [...TOP, ...PEER_ONE, 'frob 1']);
  const refused = await onServer(['syncconf', 'ipipou0', faulty]);
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toContain(
    `${faulty}:${TOP.length + PEER_ONE.length + 1}: unknown option frob`,
  );
  await expectPing(lab, lab.client(1), SERVER);

  // Its own file still has the first peer only, and another port now.
  await hosts.writeConfig(lab.server, 'ipipou0', [...TOP, 'fou-local-port 10007', ...PEER_ONE]);
  server.program.signal('SIGHUP');
  await server.program.waitFor(/fou-local-port: takes effect after a restart/);
  await succeeds(async () => expect(await peersOfServer()).toEqual({ one: 'established' }));
  await expectNoPing(lab, lab.client(1), SERVER);

  await hosts.writeConfig(lab.server, 'ipipou0', [...TOP, ...PEER_ONE, 'peer two', 'auth-token t']);
  server.program.signal('SIGHUP');
  await server.program.waitFor(/the config stays as it was.*tunl-peer-ip/);
  const reload = await onServer(['reload', 'ipipou0']);
  expect(reload).toMatchObject({ code: 2, stdout: '' });
  expect(reload.stderr).toMatch(/tunl-peer-ip: no value: expected an address inside the tunnel/);

  await hosts.writeConfig(lab.server, 'ipipou0', [...TOP, ...PEER_ONE, ...PEER_TWO]);
  expect(await onServer(['reload', 'ipipou0'])).toMatchObject({
    code: 0,
    stdout: 'ipipou0: peers: 1 added, 0 changed, 0 removed, 1 as before\n',
  });
  await expectCarried('two', lab.client(1));
  await expectNothingLost(ping);
  expect(server.program.output()).not.toMatch(/token-(?:one|two)/);
});

test('status says what another tunnel of the host has, until that is gone', async () => {
  const server = (number: number): readonly string[] => [
    ...['server', 'dataplane tun', 'fou-dev eth0', `number ${number}`, `tunl-ip 10.9.${number}.1`],
    ...['reply-on-auth-ok', 'verb 3'],
    ...['peer one', 'auth-token token-one', `tunl-peer-ip 10.9.${number}.2`],
    'allowed-ips 10.77.0.0/16',
    ...['peer two', 'auth-token token-two', `tunl-peer-ip 10.9.${number}.3`],
  ];
  const first = await start(lab.server, server(1), 'ipipou1');
  await first.ready();
  const second = await start(lab.server, server(2), 'ipipou2');
  await second.ready();
  const words =
    '10.77.0.0/16 is not led to its peer: another route of this host has it, out of ipipou1';
  const told = expect.stringContaining(words) as unknown;
  expect(await onServer(['status', 'ipipou1'])).toMatchObject({ code: 0 });
  expect(await onServer(['status', 'ipipou2'])).toMatchObject({ code: 4, stdout: told });
  expect(await onServer(['doctor', 'ipipou2'])).toMatchObject({ stdout: told });
  const one = client('token-one', '10.9.2.2').map((line) =>
    line.replace('203.0.113.1:10000', '203.0.113.1:10002').replace(SERVER, '10.9.2.1'),
  );
  const carried = await start(lab.client(0), one);
  await carried.established();
  const shown = await onServer(['show', 'ipipou2', 'one']);
  expect(shown).toMatchObject({ stdout: told });
  const { stdout } = await onServer(['show', 'ipipou2']);
  expect(stdout.split(words)).toHaveLength(2);
  await first.stop();
  await succeeds(async () => {
    expect(await onServer(['status', 'ipipou2'])).toMatchObject({ code: 0 });
  });
  const route = await lab.exec(lab.server, ['ip', 'route', 'show', '10.77.0.0/16']);
  expect(route.stdout).toMatch(/dev ipipou2/);
});

test('a client of two servers reaches both, and what is behind each', async () => {
  const behind = ip('10.2.0.1');
  const server = (number: number, inner: string): readonly string[] => [
    ...[
      'server',
      'dataplane tun',
      'fou-dev eth0',
      `number ${number}`,
      `tunl-ip ${inner}`,
      'verb 3',
    ],
    ...['peer me', `auth-token token-${number}`, 'tunl-peer-ip 10.9.0.9'],
  ];
  // Two programs of one host; each has the client's address on a device of its own.
  const first = await start(lab.server, server(1, '10.9.0.1'), 'ipipou1');
  await first.ready();
  const both = await start(lab.client(0), [
    ...['client', 'dataplane tun', 'fou-local @eth0', 'tunl-ip 10.9.0.9', 'keepalive 1', 'verb 3'],
    ...['peer first', 'fou-remote 203.0.113.1:10001', 'tunl-peer-ip 10.9.0.1'],
    ...['auth-token token-1', 'allowed-ips 10.1.0.0/16'],
    ...['peer second', 'fou-remote 203.0.113.1:10002', 'tunl-peer-ip 10.9.0.2'],
    ...['auth-token token-2', 'allowed-ips 10.2.0.0/16'],
  ]);
  await both.ready();
  await expectPing(lab, lab.client(0), ip('10.9.0.1'));
  await expectNoPing(lab, lab.client(0), ip('10.9.0.2'));
  await first.stop();

  const second = await start(lab.server, server(2, '10.9.0.2'), 'ipipou2');
  await second.ready();
  await lab.exec(lab.server, ['ip', 'addr', 'add', `${behind}/32`, 'dev', 'lo']);
  await expectPing(lab, lab.client(0), ip('10.9.0.2'));
  await expectPing(lab, lab.client(0), behind);
  // These servers do not reply: that they are heard is seen when counters are read, every few seconds.
  await succeeds(async () => {
    const shown = await hosts.run(lab.client(0), ['show']);
    expect(shown.stdout).toMatch(/^ipipou0 \(.*\): client, 2 of 2 peers established$/m);
    expect(shown.stdout).toMatch(/^ {2}second +established /m);
  });
});

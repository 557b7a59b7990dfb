import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { SERVER_ADDRESS, up, type Topology } from '../../src/adapters/lab/topology.ts';
import { port } from '../../src/core/units.ts';
import { floodCommand, floodSent } from '../rig/flood.ts';
import { DESCRIBED, Hosts, changed, type Daemon } from '../rig/daemon.ts';
import { innerAddresses } from '../rig/addresses.ts';
import {
  addressesSettled,
  expectNoPing,
  expectNothingLost,
  expectPing,
  iperf,
  whatIsThere,
} from '../rig/traffic.ts';

/*
 * The daemon on `dataplane bpf`, with the configs of the description: a server, and a client behind the
 * NAT router. The drawing is at the head of src/adapters/lab/topology.ts.
 */
const INNER = innerAddresses(0);
const SERVER = changed(DESCRIBED.server, 'dataplane bpf');
const CLIENT = changed(DESCRIBED.client, 'dataplane bpf');

let lab: Topology;
let hosts: Hosts;
const daemons: Daemon[] = [];

beforeAll(async () => {
  lab = await up();
  hosts = await Hosts.in(lab);
  await Promise.all([lab.server, lab.client()].map((name) => addressesSettled(lab, name)));
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

async function startBoth(
  server: readonly string[] = SERVER,
  client: readonly string[] = CLIENT,
): Promise<{ s: Daemon; c: Daemon }> {
  const s = await start(lab.server, server);
  await s.ready();
  const c = await start(lab.client(), client);
  await Promise.all([s.established(), c.established()]);
  return { s, c };
}

async function whatIsOnBoth(): Promise<readonly string[]> {
  return Promise.all(
    [lab.server, lab.client()].map(async (name) => {
      const qdiscs = await lab.exec(name, ['tc', 'qdisc', 'show']);
      return [await whatIsThere(lab, name), qdiscs.stdout].join('\n');
    }),
  );
}

test('the configs of the description meet, carry, and leave nothing behind', async () => {
  const before = await whatIsOnBoth();
  const { s, c } = await startBoth();
  await expectPing(lab, lab.client(), INNER.server);
  await expectPing(lab, lab.server, INNER.client);
  expect(await iperf(lab, lab.client(), lab.server, INNER.server)).toBeGreaterThan(1e8);
  expect(await iperf(lab, lab.client(), lab.server, INNER.server, true)).toBeGreaterThan(1e8);
  await c.until('replied to', (status) => status.repliesVerified > 0);
  const shown = await hosts.run(lab.server, ['show', 'ipipou0']);
  expect(shown.stdout).toMatch(/plane +bpf \(asked for by the config\)/);
  const ends = await Promise.all([s.stop(), c.stop()]);
  expect(ends).toEqual([0, 0]);
  expect(await whatIsOnBoth()).toEqual(before);
});

test.each([
  { server: 'bpf', client: 'tun', checksum: 'encap-csum' },
  { server: 'tun', client: 'bpf', checksum: 'encap-csum' },
  { server: 'bpf', client: 'tun', checksum: 'no-encap-csum' },
  { server: 'tun', client: 'bpf', checksum: 'no-encap-csum' },
])(
  'a $server server and a $client client speak to each other with $checksum',
  async ({ server, client, checksum }) => {
    await startBoth(
      changed(DESCRIBED.server, `dataplane ${server}`, checksum),
      changed(DESCRIBED.client, `dataplane ${client}`, checksum),
    );
    await expectPing(lab, lab.server, INNER.client);
    expect(await iperf(lab, lab.client(), lab.server, INNER.server)).toBeGreaterThan(1e7);
    expect(await iperf(lab, lab.client(), lab.server, INNER.server, true)).toBeGreaterThan(1e7);
  },
);

test('after kill -9 the kernel goes on, the next run adopts, and down cleans up', async () => {
  const before = await whatIsOnBoth();
  const { s, c } = await startBoth();
  await s.kill();
  await expectPing(lab, lab.client(), INNER.server);
  const dead = await hosts.run(lab.server, ['show']);
  expect(dead.stdout).toMatch(/daemon dead/);
  expect(dead.stdout).toMatch(/the kernel still forwards/);
  const again = await start(lab.server, SERVER);
  await again.established();
  expect(again.program.output()).toMatch(/adopted/);
  await expectPing(lab, lab.client(), INNER.server);
  await again.kill();
  expect(await hosts.run(lab.server, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
  await expectNoPing(lab, lab.client(), INNER.server);
  await c.stop();
  expect(await whatIsOnBoth()).toEqual(before);
});

test('SIGQUIT leaves the tunnel to the next run, and nothing is lost meanwhile', async () => {
  const { s } = await startBoth();
  const ping = lab.spawn(lab.client(), ['ping', '-n', '-i', '0.05', INNER.server]);
  await ping.waitFor(/icmp_seq=5 ttl/);
  s.program.signal('SIGQUIT');
  expect((await s.program.finished).code).toBe(0);
  const again = await start(lab.server, SERVER);
  await again.established();
  expect(again.program.output()).toMatch(/adopted/);
  await expectNothingLost(ping);
});

test('under a flood of ICMP errors a client gets in, and the daemon answers', async () => {
  const s = await start(lab.server, SERVER);
  await s.ready();
  const { stdout } = await lab.exec(lab.server, ['cat', '/sys/class/net/eth0/address']);
  const spec = { packets: 'errors', to: { ip: SERVER_ADDRESS, port: port(10_000) } } as const;
  const much = { ...spec, rate: 30_000, count: 0, sources: 1000 };
  // One comes by the outer device, one by none that has a program.
  const floods = [
    lab.spawn(lab.router, floodCommand({ ...much, device: 'wan', mac: stdout.trim() })),
    lab.spawn(lab.server, floodCommand({ ...much, device: 'lo', mac: '00:00:00:00:00:00' })),
  ];
  await Promise.all(floods.map((flood) => flood.waitFor(/flooding/)));
  const c = await start(lab.client(), CLIENT);
  await Promise.all([s.established(), c.established()]);
  await expectPing(lab, lab.client(), INNER.server);
  const sent = await Promise.all(floods.map((flood) => floodSent(flood, true)));
  for (const count of sent) expect(count).toBeGreaterThan(1000);
  expect((await s.ready()).refusedBelow['outer-error']).toBeGreaterThan(0);
});

test('auto prefers this plane to user space where there is no FOU, and says why', async () => {
  const s = await start(lab.server, DESCRIBED.server);
  const status = await s.ready();
  expect(['fou', 'bpf']).toContain(status.plane);
  if (status.plane === 'bpf') expect(status.planeReason).toMatch(/fou lacks kernel module fou/);
});

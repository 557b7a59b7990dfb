/* The drawing of the topology is at the head of src/adapters/lab/topology.ts. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { inner, innerAddresses } from '../rig/addresses.ts';
import { changed, DESCRIBED, Hosts, type Daemon } from '../rig/daemon.ts';
import { addressesSettled } from '../rig/traffic.ts';

const INNER = innerAddresses(0);
const INNER6 = { server: inner('fd28::'), client: inner('fd28::1') };

let lab: Topology;
let hosts: Hosts;
const daemons: Daemon[] = [];

beforeAll(async () => {
  lab = await up();
  hosts = await Hosts.in(lab);
  await Promise.all([lab.server, lab.client()].map((name) => addressesSettled(lab, name)));
  for (const name of [lab.server, lab.client()]) {
    const off = ['all', 'default'].map((which) => `net.ipv6.conf.${which}.disable_ipv6=1`);
    const { code, stderr } = await lab.exec(name, ['sysctl', '-qw', ...off]);
    if (code !== 0) throw new Error(stderr);
  }
});

afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
});

afterAll(async () => {
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

async function connect(plane: string, inside: { server: string; client: string }): Promise<void> {
  for (const [namespace, lines, ips] of [
    [lab.server, DESCRIBED.server, inside.server],
    [lab.client(), DESCRIBED.client, inside.client],
  ] as const) {
    const daemon = await hosts.start(
      namespace,
      changed(lines, `dataplane ${plane}`, `tunl-ip ${ips}`),
    );
    daemons.push(daemon);
    await daemon.ready();
  }
  await daemons[1]?.until('replied to', ({ repliesVerified }) => repliesVerified > 0);
}

async function pings(target: string): Promise<boolean> {
  const done = await lab.exec(lab.client(), ['ping', '-c1', '-w5', target]);
  return done.code === 0;
}

test.each(['bpf', 'tun'])('where IPv6 is off, %s carries IPv4', async (plane) => {
  await connect(plane, INNER);
  expect(await pings(INNER.server)).toBe(true);
});

test.each(['bpf', 'tun'])('where IPv6 is off, %s carries it inside all the same', async (plane) => {
  const both = (end: 'server' | 'client') => `${INNER[end]}, ${INNER6[end]}`;
  await connect(plane, { server: both('server'), client: both('client') });
  expect(await pings(INNER.server)).toBe(true);
  expect(await pings(INNER6.server)).toBe(true);
});

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { seconds } from '../../src/core/units.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { changed, type Daemon, DESCRIBED, Hosts } from '../rig/daemon.ts';
import { expectNoPing, expectPing } from '../rig/traffic.ts';
import { patience, slowness } from '../rig/patience.ts';

/*
 * A NAT router that forgets a mapping after two seconds, or as many more as a keepalive may come late on this machine,
 * and what keeps it from forgetting. The drawing is at the head of src/adapters/lab/topology.ts.
 */
const INNER = innerAddresses(0);
const FORGETS_AFTER = Math.ceil(2 * slowness());

let lab: Topology;
let hosts: Hosts;
const daemons: Daemon[] = [];

beforeAll(async () => {
  const timeout = seconds(FORGETS_AFTER);
  lab = await up({ udpTimeouts: { unreplied: timeout, replied: timeout } });
  hosts = await Hosts.in(lab);
});

afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
});

afterAll(async () => {
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

async function startBoth(server: readonly string[], client: readonly string[]): Promise<Daemon> {
  const tun = 'dataplane tun';
  daemons.push(await hosts.start(lab.server, changed(DESCRIBED.server, tun, ...server)));
  const there = await hosts.start(lab.client(), changed(DESCRIBED.client, tun, ...client));
  daemons.push(there);
  return there.established().then(() => there);
}

/** Until the client has been hearing for longer than the router remembers. */
async function outlastTheRouter(client: Daemon): Promise<void> {
  const from = (await client.ready()).lastHeardAt ?? 0;
  const enough = from + (FORGETS_AFTER + 1) * 1000;
  await client.until('still hearing', ({ lastHeardAt }) => (lastHeardAt ?? 0) > enough);
}

test('without keepalives the server loses the client, as it must', async () => {
  await startBoth(['keepalive 0'], ['keepalive 0']);
  await expect
    .poll(async () => (await lab.natMappings()).length, {
      timeout: patience(20_000),
      interval: 200,
    })
    .toBe(0);
  await expectNoPing(lab, lab.server, INNER.client);
});

test('keepalives of the client keep it reachable', async () => {
  const client = await startBoth(['keepalive 0'], ['keepalive 1']);
  await outlastTheRouter(client);
  await expectPing(lab, lab.server, INNER.client);
});

test('keepalives of the server alone keep it reachable', async () => {
  const client = await startBoth(['keepalive 1'], ['keepalive 0']);
  const { authPacketsSent } = await client.ready();
  await outlastTheRouter(client);
  expect((await client.ready()).authPacketsSent).toBe(authPacketsSent);
  await expectPing(lab, lab.server, INNER.client);
});

test('an authentication packet opens a mapping that is gone again', async () => {
  const client = await startBoth(['keepalive 0'], ['keepalive 0']);
  await expect
    .poll(async () => (await lab.natMappings()).length, {
      timeout: patience(20_000),
      interval: 200,
    })
    .toBe(0);
  const verified = (await client.ready()).repliesVerified;
  client.program.signal('SIGUSR1');
  await client.until('answered', (status) => status.repliesVerified > verified);
  await expectPing(lab, lab.server, INNER.client);
});

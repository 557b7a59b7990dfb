import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SERVER_ADDRESS, up, type Topology } from '../../src/adapters/lab/topology.ts';
import { openRawUdp } from '../../src/adapters/raw-socket.ts';
import { addToIp } from '../../src/core/addr.ts';
import { AUTH_V1_REQUEST_LENGTH } from '../../src/core/auth/trailer.ts';
import { GUARD_LIMITS } from '../../src/core/budgets.ts';
import { millis, port } from '../../src/core/units.ts';
import { DESCRIBED, Hosts, changed, type Daemon } from '../rig/daemon.ts';
import { innerAddresses, ip } from '../rig/addresses.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { holds, patience, slowness } from '../rig/patience.ts';
import { expectPing } from '../rig/traffic.ts';

/*
 * A tunnel on fou that lives through changes of its outer path. The topology is drawn at the head of
 * src/adapters/lab/topology.ts.
 */
let lab: Topology;
let hosts: Hosts;
let server: Daemon;
let client: Daemon;
const inner = innerAddresses(0);

beforeAll(async () => {
  lab = await up();
  hosts = await Hosts.in(lab);
  server = await hosts.start(lab.server, DESCRIBED.server);
  await server.ready();
});

afterAll(async () => {
  await client.stop();
  await server.stop();
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

/** The client with this keepalive, once the server has it. */
async function clientWith(keepalive: number): Promise<void> {
  await client?.stop();
  // With an MTU it does not look for one, so that all it sends is to be let in.
  client = await hosts.start(
    lab.client(),
    changed(DESCRIBED.client, `keepalive ${keepalive}`, 'mtu 1400'),
  );
  await client.until('replied to', (status) => status.repliesVerified > 0);
}

/**
 * Sends what looks like authentication from ever other addresses, for half a minute at most: twice as many a second as the
 * guard lets strangers send, and not more, since whoever sends them has the processor of whoever is to refuse them.
 */
function floodFrom(namespace: string): { readonly sent: number; stop(): void } {
  const raw = inNamespace(namespace, () => openRawUdp());
  const payload = new Uint8Array(AUTH_V1_REQUEST_LENGTH).fill(0x99);
  const remote = { ip: SERVER_ADDRESS, port: port(10_000) };
  const first = ip('198.18.0.0');
  const end = performance.now() + patience(30_000);
  let sent = 0;
  const atOnce = 10;
  const every = (1000 * atOnce) / (2 * GUARD_LIMITS.strangers.perSecond);
  const timer = setInterval(() => {
    for (let count = 0; count < atOnce && performance.now() < end; count++) {
      const local = { ip: addToIp(first, sent), port: port(5555) };
      raw.send({ path: { local, remote }, payload, ttl: 64 });
      sent += 1;
    }
  }, every);
  return {
    get sent() {
      return sent;
    },
    stop() {
      clearInterval(timer);
      raw.close();
    },
  };
}

describe('where only the keepalive can tell', () => {
  beforeAll(async () => {
    await clientWith(2);
  });

  it('follows a NAT that gives the client another port', async () => {
    await lab.remapNat();
    const status = await server.until(
      're-pointed',
      ({ path }) => path !== undefined && path.remote.port >= 40_000,
      millis(8_000),
    );
    expect(status.path?.remote.ip).toBe(lab.natAddress());
    await expectPing(lab, lab.server, inner.client);
  });

  it('gets in from another address while forged sources flood the port', async () => {
    const flood = floodFrom(lab.router);
    try {
      await holds(() => flood.sent > 500);
      const address = await lab.changeNatAddress();
      const { authPacketsSent } = await client.ready();
      const moved = performance.now();
      await server.until('re-pointed', ({ path }) => path?.remote.ip === address, millis(30_000));
      const took = Math.round(performance.now() - moved);
      const tries = (await client.ready()).authPacketsSent - authPacketsSent;
      // One may be on its way, on a busy machine some: strangers fill their own queue and not this client's.
      const allowed = Math.ceil(1.5 * slowness());
      expect(tries, `in after ${took} ms, ${flood.sent} forged ones`).toBeLessThanOrEqual(allowed);
    } finally {
      flood.stop();
    }
    await expectPing(lab, lab.server, inner.client);
  });

  it('follows a NAT that appears with another address', async () => {
    const address = await lab.changeNatAddress();
    await server.until('re-pointed', ({ path }) => path?.remote.ip === address, millis(8_000));
    await expectPing(lab, lab.server, inner.client);
  });
});

describe('where the client sees the change itself', () => {
  beforeAll(async () => {
    await clientWith(3600);
  });

  it('authenticates at once from a new address of its own', async () => {
    const sent = (await client.ready()).authPacketsSent;
    const address = await lab.changeClientAddress();
    await client.until(
      'authenticated from the new address',
      ({ path, authPacketsSent }) => path?.local.ip === address && authPacketsSent > sent,
      millis(8_000),
    );
    await expectPing(lab, lab.server, inner.client);
    await expectPing(lab, lab.client(), inner.server);
  });

  it('comes back when the server was restarted without its run directory', async () => {
    await server.stop();
    server = await hosts.start(lab.server, DESCRIBED.server);
    await server.ready();
    const done = await hosts.run(lab.client(), ['reload', 'ipipou0']);
    expect(done).toMatchObject({ code: 0 });
    await server.established();
    await expectPing(lab, lab.server, inner.client);
  });
});

it('finds a dead server again by itself', async () => {
  await client.stop();
  client = await hosts.start(
    lab.client(),
    changed(DESCRIBED.client, 'keepalive 1', 'dead-peer-timeout 3'),
  );
  await client.until('replied to', (status) => status.repliesVerified > 0);
  await server.stop();
  await client.until('noticing', (status) => status.phase !== 'established', millis(20_000));
  server = await hosts.start(lab.server, DESCRIBED.server);
  await client.established(millis(30_000));
  await expectPing(lab, lab.client(), inner.server);
});

it('resolves the name of the server again when it has moved', async () => {
  await client.stop();
  const hostsFile = '/etc/hosts';
  // In the guest every namespace shares this file; the name is of this test alone.
  const name = 'server.ipipou.test';
  await lab.exec(lab.client(), ['sh', '-c', `echo ${SERVER_ADDRESS} ${name} >> ${hostsFile}`]);
  client = await hosts.start(
    lab.client(),
    changed(DESCRIBED.client, `fou-remote ${name}:10000`, 'keepalive 1', 'dead-peer-timeout 3'),
  );
  await client.until('replied to', (status) => status.repliesVerified > 0);
  await lab.exec(lab.server, ['ip', 'addr', 'del', `${SERVER_ADDRESS}/24`, 'dev', 'eth0']);
  await lab.exec(lab.server, ['ip', 'addr', 'add', '203.0.113.9/24', 'dev', 'eth0']);
  await lab.exec(lab.client(), ['sed', '-i', `s/.* ${name}/203.0.113.9 ${name}/`, hostsFile]);
  await client.until(
    'at the new address',
    ({ path, phase }) => path?.remote.ip === '203.0.113.9' && phase === 'established',
    millis(60_000),
  );
  await expectPing(lab, lab.client(), inner.server);
  await lab.exec(lab.client(), ['sed', '-i', `/${name}/d`, hostsFile]);
});

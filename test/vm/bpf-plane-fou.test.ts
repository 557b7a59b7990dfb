import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { millis, port } from '../../src/core/units.ts';
import { DESCRIBED, Hosts, changed } from '../rig/daemon.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { PlaneHost } from '../rig/plane-host.ts';
import { A, B, B_TO_A, INNER_A, INNER_B, OF_B } from '../rig/plane-pair.ts';
import { expectPing, iperf } from '../rig/traffic.ts';
import { expectTcp } from '../rig/transfer.ts';
import { TwoHosts } from '../rig/two-hosts.ts';
import { addStockPeer } from './stock-peer.ts';

/*
 * The bpf plane and the kernel's own FOU: one wire format. First against plain `ip` commands on the
 * other end of a cable (drawn at the head of test/rig/two-hosts.ts; a is the stock one), then daemon to
 * daemon through the NAT (drawn at the head of src/adapters/lab/topology.ts).
 */
/** An emulated processor, shared with whoever else works on this machine, starts Node in seconds. */
const PATIENCE = millis(90_000);
const TEST_TIMEOUT = 240_000;

describe.each([{ checksum: true }, { checksum: false }])(
  'a stock peer, checksum $checksum',
  ({ checksum }) => {
    let cable: TwoHosts;
    let b: PlaneHost;

    beforeEach(async () => {
      cable = await TwoHosts.make();
      const stock = { namespace: cable.a, device: 'tun', outerDevice: 'v0', checksum };
      await addStockPeer({
        ...{ ...stock, local: A.ip, remote: B.ip, localPort: A.port, remotePort: B.port },
        ...{ innerIp: INNER_A, innerPeerIp: INNER_B },
      });
      b = await PlaneHost.in(cable.b, 'bpf');
      await b.open({ ...OF_B, udpChecksum: checksum });
      await b.admit(B_TO_A);
    });

    afterEach(async () => {
      await b[Symbol.asyncDispose]();
      await cable[Symbol.asyncDispose]();
    });

    it('carries few bytes and many both ways, unchanged', { timeout: TEST_TIMEOUT }, async () => {
      expect(await cable.pings(cable.a, INNER_B, '-s100')).toBe(true);
      expect(await cable.pings(cable.b, INNER_A, '-Mdo', '-s1444')).toBe(true);
      for (const bytes of [100, 3_000_000]) {
        await expectTcp(cable.a, cable.b, INNER_B, bytes);
        await expectTcp(cable.b, cable.a, INNER_A, bytes);
      }
      expect((await b.describePeer()).refused).toEqual({});
    });
  },
);

describe('daemons', () => {
  let lab: Topology;
  let hosts: Hosts;
  const inner = innerAddresses(0);

  beforeAll(async () => {
    lab = await up();
    hosts = await Hosts.in(lab);
  });

  afterAll(async () => {
    await hosts[Symbol.asyncDispose]();
    await lab.down();
  });

  it.each([
    { server: 'bpf', client: 'fou', checksum: 'encap-csum' },
    { server: 'fou', client: 'bpf', checksum: 'no-encap-csum' },
  ])(
    'a $server server and a $client client speak to each other with $checksum',
    { timeout: TEST_TIMEOUT },
    async ({ server: serverPlane, client: clientPlane, checksum }) => {
      const [server, client] = await Promise.all([
        hosts.start(lab.server, changed(DESCRIBED.server, `dataplane ${serverPlane}`, checksum)),
        hosts.start(lab.client(), changed(DESCRIBED.client, `dataplane ${clientPlane}`, checksum)),
      ]);
      try {
        await client.until('replied to', (status) => status.repliesVerified > 0, PATIENCE);
        expect((await client.ready()).plane).toBe(clientPlane);
        expect((await server.established()).plane).toBe(serverPlane);
        await expectPing(lab, lab.server, inner.client);
        await expectPing(lab, lab.client(), inner.server);
        expect(await iperf(lab, lab.client(), lab.server, inner.server)).toBeGreaterThan(1e5);
        expect(await iperf(lab, lab.client(), lab.server, inner.server, true)).toBeGreaterThan(1e5);
      } finally {
        await Promise.all([server.stop(), client.stop()]);
      }
    },
  );

  it('a client follows a NAT that gives it another port', { timeout: TEST_TIMEOUT }, async () => {
    const [server, client] = await Promise.all([
      hosts.start(lab.server, changed(DESCRIBED.server, 'dataplane bpf')),
      hosts.start(lab.client(), changed(DESCRIBED.client, 'dataplane bpf', 'keepalive 2')),
    ]);
    try {
      await client.until('replied to', (status) => status.repliesVerified > 0, PATIENCE);
      await lab.remapNat();
      const { path } = await server.until(
        're-pointed',
        ({ path: now }) => now !== undefined && now.remote.port >= 40_000,
        PATIENCE,
      );
      expect(path?.remote).toMatchObject({ ip: lab.natAddress() });
      expect(path?.local.port).toBe(port(10_000));
      await expectPing(lab, lab.server, inner.client);
    } finally {
      await Promise.all([server.stop(), client.stop()]);
    }
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { DESCRIBED, Hosts, changed } from '../rig/daemon.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { expectPing, iperf } from '../rig/traffic.ts';

/*
 * Either data plane on either side, through the NAT, data both ways with either checksum: one wire
 * format. The topology is drawn at the head of src/adapters/lab/topology.ts.
 */
const inner = innerAddresses(0);

type Round = {
  readonly offloads: 'off' | 'on';
  readonly cases: readonly {
    readonly server: PlaneName;
    readonly client: PlaneName;
    readonly checksum: string;
  }[];
};

describe.each<Round>([
  {
    offloads: 'off',
    cases: [
      { server: 'fou', client: 'tun', checksum: 'encap-csum' },
      { server: 'tun', client: 'fou', checksum: 'no-encap-csum' },
    ],
  },
  {
    // As between containers: checksums and super-packets arrive as they left their sender.
    offloads: 'on',
    cases: [
      { server: 'tun', client: 'fou', checksum: 'no-encap-csum' },
      { server: 'tun', client: 'bpf', checksum: 'no-encap-csum' },
    ],
  },
])('with offloads $offloads', ({ offloads, cases }) => {
  let lab: Topology;
  let hosts: Hosts;

  beforeAll(async () => {
    lab = await up({ offloads });
    hosts = await Hosts.in(lab);
  });

  afterAll(async () => {
    await hosts[Symbol.asyncDispose]();
    await lab.down();
  });

  it.each(cases)(
    'a $server server and a $client client speak to each other with $checksum',
    async ({ server: serverPlane, client: clientPlane, checksum }) => {
      const [server, client] = await Promise.all([
        hosts.start(lab.server, changed(DESCRIBED.server, `dataplane ${serverPlane}`, checksum)),
        hosts.start(lab.client(), changed(DESCRIBED.client, `dataplane ${clientPlane}`, checksum)),
      ]);
      try {
        await client.until('replied to', (status) => status.repliesVerified > 0);
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
});

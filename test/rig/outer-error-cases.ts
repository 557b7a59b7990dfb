import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ROUTER_LAN_ADDRESS6 } from '../../src/adapters/lab/ipv6.ts';
import { ROUTER_LAN_ADDRESS, up, type Topology } from '../../src/adapters/lab/topology.ts';
import { formatEndpoint, type Family } from '../../src/core/addr.ts';
import { millis, port } from '../../src/core/units.ts';
import type { TunnelStatus } from '../../src/ports/control.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { innerAddresses } from './addresses.ts';
import { changed, type Daemon, DESCRIBED, Hosts, IPIPOU } from './daemon.ts';
import { eventually } from './plane-pair.ts';
import { addressesSettled } from './traffic.ts';

const INNER = innerAddresses(0);
const WALL = `add table inet wall
  add chain inet wall in { type filter hook input priority -300; }
  add rule inet wall in udp dport 10000 reject with icmpx admin-prohibited`;

/** A router's address, and what it says of a host that it has an `unreachable` route to. */
const ROUTER = {
  ipv4: { address: ROUTER_LAN_ADDRESS, says: 'the host cannot be reached' },
  ipv6: { address: ROUTER_LAN_ADDRESS6, says: 'the network there cannot be reached' },
} as const satisfies Record<Family, unknown>;

/**
 * What a client on a plane tells of a server that cannot be reached, with who says so. The drawing of the
 * topology is at the head of src/adapters/lab/topology.ts.
 */
export function describeOuterErrors(plane: PlaneName, slowness = 1, family: Family = 'ipv4'): void {
  const timeout = 60_000 * slowness;
  describe(`on ${plane}, over ${family}, the network says`, { timeout }, () => {
    const server = changed(DESCRIBED.server, `dataplane ${plane}`);
    let client: readonly string[];
    let address: string;
    let lab: Topology;
    let hosts: Hosts;
    const daemons: Daemon[] = [];

    beforeAll(async () => {
      lab = await up({ families: family });
      address = lab.serverAddress(family);
      client = aimed(10_000);
      hosts = await Hosts.in(lab);
      await Promise.all([lab.server, lab.client()].map((name) => addressesSettled(lab, name)));
    }, timeout);

    afterEach(async () => {
      await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
    });

    afterAll(async () => {
      await hosts[Symbol.asyncDispose]();
      await lab.down();
    });

    /** The client's config, for a port of the server's. */
    function aimed(number: number): readonly string[] {
      const remote = formatEndpoint({ ip: lab.serverAddress(family), port: port(number) });
      return changed(DESCRIBED.client, `dataplane ${plane}`, `fou-remote ${remote}`);
    }

    async function start(namespace: string, lines: readonly string[]): Promise<Daemon> {
      const daemon = await hosts.start(namespace, lines);
      daemons.push(daemon);
      await daemon.ready(millis(30_000 * slowness));
      return daemon;
    }

    /** The client's trouble, in words, when the network has said something. */
    async function said(lines = client): Promise<string> {
      const daemon = await start(lab.client(), lines);
      let words = '';
      const told = ({ troubles }: TunnelStatus): boolean => {
        for (const trouble of troubles) {
          if (trouble.kind === 'no-answer' && trouble.network) ({ words } = trouble);
        }
        return words !== '';
      };
      await daemon.until('told by the network', told, millis(30_000 * slowness));
      return words;
    }

    async function sure(namespace: string, ...argv: readonly string[]): Promise<void> {
      expect(await lab.exec(namespace, argv)).toMatchObject({ code: 0 });
    }

    test('that no server is there', async () => {
      expect(await said()).toContain(`${address} says that nothing listens on that port`);
    });

    test('that the port is another one', async () => {
      await start(lab.server, server);
      expect(await said(aimed(10_001))).toContain(
        `${address} says that nothing listens on that port`,
      );
    });

    test('that a firewall before the server rejects it', async () => {
      await start(lab.server, server);
      await sure(lab.server, 'nft', WALL);
      try {
        expect(await said()).toContain(`${address} says that a firewall forbids it`);
      } finally {
        await sure(lab.server, 'nft', 'delete table inet wall');
      }
    });

    test('that a router on the way knows no way on', async () => {
      const { address: router, says } = ROUTER[family];
      await sure(lab.router, 'ip', 'route', 'add', 'unreachable', address);
      try {
        expect(await said()).toContain(`${router} says that ${says}`);
      } finally {
        await sure(lab.router, 'ip', 'route', 'del', 'unreachable', address);
      }
    });

    test('that a server has gone, by what is sent to it through the tunnel', async () => {
      const there = await start(lab.server, server);
      const here = await start(lab.client(), client);
      await Promise.all(
        [there, here].map((daemon) => daemon.established(millis(30_000 * slowness))),
      );
      await there.stop();
      await eventually(async () => {
        await lab.exec(lab.client(), ['ping', '-c1', '-W1', INNER.server]);
        expect(here.program.output()).toMatch(
          /nothing listens on that port, says the network: authenticating.*(203\.0\.113\.1|2001:db8::1)/,
        );
      });
    });

    // Neither of the others runs without it.
    if (plane !== 'tun' || family !== 'ipv4') return;

    test('nothing to who lacks CAP_NET_RAW, who goes on', async () => {
      const file = await hosts.writeConfig(lab.client(), 'lacking', client);
      const lacking = ['setpriv', '--bounding-set=-net_raw', '--inh-caps=-net_raw'];
      await using program = lab.spawn(
        lab.client(),
        [...lacking, process.execPath, IPIPOU, '--config', file],
        { env: hosts.env(lab.client()) },
      );
      await program.waitFor(/what the network says of our packets is not heard/);
      await start(lab.server, server);
      await program.waitFor(/established/);
      expect(program.running).toBe(true);
    });
  });
}

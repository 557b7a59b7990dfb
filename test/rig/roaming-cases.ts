/*
 * What may happen to the addresses and routes under a running tunnel, by daemons (after WireGuard's
 * tools/testing/selftests/wireguard/netns.sh). The topology is drawn at the heads of
 * src/adapters/lab/topology.ts and ipv6.ts; the server has more addresses than those:
 *
 *   203.0.113.7, 2001:db8::7
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SERVER_ADDRESS6 } from '../../src/adapters/lab/ipv6.ts';
import {
  NAT_ADDRESSES,
  ROUTER_LAN_ADDRESS,
  SERVER_ADDRESS,
  up,
  type Topology,
} from '../../src/adapters/lab/topology.ts';
import { formatEndpoint } from '../../src/core/addr.ts';
import { millis, port, type Millis } from '../../src/core/units.ts';
import type { TunnelStatus } from '../../src/ports/control.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { inner, innerAddresses, ip } from './addresses.ts';
import { changed, DESCRIBED, Hosts, type Daemon } from './daemon.ts';
import { eventually } from './plane-pair.ts';
import { expectPing } from './traffic.ts';

const NAME = 'server.lab';
const OTHER = { ipv4: ip('203.0.113.7'), ipv6: ip('2001:db8::7') };
const ROUTER_LAN_ADDRESS6 = '2001:db8:1::1';
const INNER4 = innerAddresses(0);
const INNER6 = { server: inner('fd28::10'), client: inner('fd28::11') };

export function describeRoaming(plane: PlaneName, slowness = 1): void {
  const wait = millis(30_000 * slowness);
  describe(`on ${plane}, a tunnel goes on`, { timeout: 90_000 * slowness }, () => {
    /** A lost route is noticed, not waited for. */
    const SOON = millis(3000 * slowness);
    let lab: Topology;
    let hosts: Hosts;
    let server: Daemon;
    let client: Daemon;

    beforeAll(async () => {
      lab = await up({ families: 'both', names: { [NAME]: [SERVER_ADDRESS6, SERVER_ADDRESS] } });
      hosts = await Hosts.in(lab);
      await sure(lab.server, 'ip', 'addr', 'add', `${OTHER.ipv4}/24`, 'dev', 'eth0');
      await sure(lab.server, 'ip', 'addr', 'add', `${OTHER.ipv6}/64`, 'dev', 'eth0', 'nodad');
      const inside = `tunl-ip ${INNER4.server}, ${INNER6.server}`;
      const lines = changed(DESCRIBED.server, `dataplane ${plane}`, inside);
      server = await hosts.start(lab.server, lines);
      await server.ready(wait);
    });

    afterEach(async () => {
      await client.stop();
    });

    afterAll(async () => {
      expect(await server.stop()).toBe(0);
      await hosts[Symbol.asyncDispose]();
      await lab.down();
    });

    async function sure(namespace: string, ...argv: readonly string[]): Promise<void> {
      expect(await lab.exec(namespace, argv), argv.join(' ')).toMatchObject({ code: 0 });
    }

    /** A client of the server at a name or address, once it is answered there. */
    async function startClient(remote: string, ...changes: readonly string[]): Promise<void> {
      const inside = `tunl-ip ${INNER4.client}, ${INNER6.client}`;
      const more = [
        `dataplane ${plane}`,
        `fou-remote ${remote}`,
        inside,
        'keepalive 2',
        ...changes,
      ];
      client = await hosts.start(lab.client(), changed(DESCRIBED.client, ...more));
      await client.until('replied to', (status) => status.repliesVerified > 0, wait);
    }

    /** Both ends reach each other by both inner families, over this path as the server sees it. */
    async function expectOver(remote: string, local: string, within = wait): Promise<void> {
      const over = ({ path }: TunnelStatus): boolean =>
        path !== undefined &&
        formatEndpoint(path.remote).startsWith(remote) &&
        formatEndpoint(path.local) === local;
      await server.until(`over ${remote} to ${local}`, over, within).catch((error: unknown) => {
        throw new Error(`${String(error)}\nthe client:\n${client.program.output()}`);
      });
      for (const inside of [INNER4, INNER6]) {
        await expectPing(lab, lab.server, inside.client);
        await expectPing(lab, lab.client(), inside.server);
      }
    }

    const expectOver4 = (within?: Millis): Promise<void> =>
      expectOver(`${NAT_ADDRESSES[0]}:`, `${SERVER_ADDRESS}:10000`, within);
    const expectOver6 = (within?: Millis): Promise<void> =>
      expectOver(`[${lab.clientAddress(0, 'ipv6')}]:10000`, `[${SERVER_ADDRESS6}]:10000`, within);

    async function says(daemon: Daemon, what: RegExp): Promise<void> {
      await eventually(() => {
        expect(daemon.program.output()).toMatch(what);
      });
    }

    test('when a client has another address of IPv4, and is behind another one', async () => {
      await startClient(`${SERVER_ADDRESS}:10000`);
      await expectOver4();
      await lab.changeClientAddress();
      await expectOver4();
      const seen = await lab.changeNatAddress();
      await expectOver(`${seen}:`, `${SERVER_ADDRESS}:10000`);
      await says(server, new RegExp(`peer has moved.*${seen}.*${NAT_ADDRESSES[0]}`));
      await lab.changeNatAddress();
      await lab.changeClientAddress();
    });

    test('when a client has another address of IPv6', async () => {
      await startClient(`[${SERVER_ADDRESS6}]:10000`);
      await expectOver6();
      await lab.changeClientAddress(0, 'ipv6');
      await expectOver6();
      await lab.changeClientAddress(0, 'ipv6');
      await expectOver6();
      await says(server, /peer has moved.*2001:db8:1::2\]:10000.*2001:db8:1::100/);
    });

    test('when one family loses its route and the other has one, and back', async () => {
      await startClient(`${NAME}:10000`);
      const way4 = ['default', 'via', ROUTER_LAN_ADDRESS];
      const way6 = ['default', 'via', ROUTER_LAN_ADDRESS6, 'dev', 'eth0'];
      await expectOver6();
      await sure(lab.client(), 'ip', '-6', 'route', 'del', ...way6);
      await expectOver4(SOON);
      await says(client, /no route to the server by the address before: using another/);
      await sure(lab.client(), 'ip', '-6', 'route', 'add', ...way6);
      await sure(lab.client(), 'ip', 'route', 'del', ...way4);
      await expectOver6(SOON);
      await sure(lab.client(), 'ip', 'route', 'add', ...way4);
      await expectOver6();
      await says(
        server,
        /peer has moved.*remote="?\[2001:db8:1::2\]:10000"? before=203\.0\.113\.2/,
      );
    });

    test('when the address that it is sent from is removed', async () => {
      await startClient(`${NAME}:10000`, 'fou-family ipv6', 'fou-local :10000');
      await expectOver6();
      const own = lab.clientAddress(0, 'ipv6');
      const other = ip('2001:db8:1::99');
      await sure(lab.client(), 'ip', 'addr', 'add', `${other}/64`, 'dev', 'eth0', 'nodad');
      await sure(lab.client(), 'ip', 'addr', 'del', `${own}/64`, 'dev', 'eth0');
      await expectOver(`[${other}]:10000`, `[${SERVER_ADDRESS6}]:10000`);
      await sure(lab.client(), 'ip', 'addr', 'add', `${own}/64`, 'dev', 'eth0', 'nodad');
      await sure(lab.client(), 'ip', 'addr', 'del', `${other}/64`, 'dev', 'eth0');
      await expectOver6();
    });

    test.each(['ipv4', 'ipv6'] as const)(
      'with the address of the server that the client knows, of %s, whatever others it has',
      async (family) => {
        const to = formatEndpoint({ ip: OTHER[family], port: port(10_000) });
        await startClient(to);
        const from = family === 'ipv4' ? `${NAT_ADDRESSES[0]}:` : '[2001:db8:1::2]:10000';
        await expectOver(from, to);
      },
    );

    test('by a better route when there is one', async () => {
      await startClient(`[${SERVER_ADDRESS6}]:10000`, 'fou-local :10000');
      await expectOver6();
      const better = ip('2001:db8:1::77');
      await sure(lab.client(), 'ip', 'addr', 'add', `${better}/64`, 'dev', 'eth0', 'nodad');
      const way = [`${SERVER_ADDRESS6}/128`, 'via', ROUTER_LAN_ADDRESS6, 'dev', 'eth0'];
      await sure(lab.client(), 'ip', '-6', 'route', 'add', ...way, 'src', better);
      await expectOver(`[${better}]:10000`, `[${SERVER_ADDRESS6}]:10000`);
      await sure(lab.client(), 'ip', '-6', 'route', 'del', ...way);
      await sure(lab.client(), 'ip', 'addr', 'del', `${better}/64`, 'dev', 'eth0');
      await expectOver6();
    });
  });
}

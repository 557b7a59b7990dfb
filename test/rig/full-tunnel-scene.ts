import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll } from 'vitest';
import { inside, ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { runChecked, type Program } from '../../src/adapters/lab/process.ts';
import { PROJECT } from '../vm/rig/project.ts';
import { ip } from './addresses.ts';
import { labScene, type LabScene } from './lab-scene.ts';
import { patience } from './patience.ts';

/*
 * A client that sends everything through its tunnel. To the lab (src/adapters/lab/topology.ts) come
 *
 *   WORLD                                SERVER          CLIENT                              CONTAINER
 *   v0 198.51.100.10 ───────────── v0 198.51.100.1       docker0 172.20.0.1 ────────────── eth0 172.20.0.2
 *      2001:db8:51::10                2001:db8:51::1     eth1 192.168.9.2 ── lan9 of the router, 192.168.9.1
 *
 * The router has no route to the world: who reaches it has come through the tunnel.
 */
export const WORLD = '198.51.100.10';
export const WORLD6 = '2001:db8:51::10';
/** What the world takes for the visitor where the server masquerades. */
export const SEEN = '198.51.100.1';
export const SEEN6 = '2001:db8:51::1';
export const NAME = 'vpn.example';

export type FullTunnelScene = {
  readonly base: LabScene;
  readonly container: () => string;
  /** The client's uplinks as they are before a test. */
  readonly connect: () => Promise<void>;
  /** Standard output of a program that must succeed. */
  readonly sure: (namespace: string, argv: readonly string[]) => Promise<string>;
  /** Whom the world takes a namespace for, by its own word; what went wrong otherwise. */
  readonly seenAs: (namespace: string, world?: string, slowness?: number) => Promise<string>;
  /** Counts what leaves the client beside the tunnel, by any uplink, from when it resolves on; `end` has the packets. */
  readonly watchLeaks: () => Promise<{ end(): Promise<readonly string[]> }>;
};

/** What may be seen on an uplink: the tunnel's packets, address resolution, neighbours and groups on the link. */
const HARMLESS =
  'arp or (udp and port 10000 and (host 203.0.113.1 or host 203.0.113.7 or host 2001:db8::1)) ' +
  'or (icmp6 and (ip6[40] >= 130 and ip6[40] <= 137 or ip6[40] == 143)) or ip6 proto 0';

/** Sets it up before the tests of the file that calls it, and takes it down after. */
export function fullTunnelScene(): FullTunnelScene {
  const scene = labScene({ families: 'both', names: { [NAME]: [ip('203.0.113.1')] } });
  const world = `ipipou-world-${process.pid}-w`;
  const container = `ipipou-world-${process.pid}-c`;
  const services: Program[] = [];

  beforeAll(async () => {
    const { lab } = scene;
    const client = lab.client();
    await ipBatch(undefined, [
      ...[world, container].map((name) => `netns add ${name}`),
      `link add v0 netns ${world} type veth peer name v0 netns ${lab.server}`,
      `link add eth0 netns ${container} type veth peer name c0 netns ${client}`,
      `link add eth1 netns ${client} type veth peer name lan9 netns ${lab.router}`,
    ]);
    await ipBatch(lab.server, [
      'addr add 198.51.100.1/24 dev v0',
      'addr add 203.0.113.7/24 dev eth0',
      'addr add 2001:db8:51::1/64 dev v0 nodad',
      'link set v0 up',
    ]);
    await ipBatch(world, [
      'link set lo up',
      `addr add ${WORLD}/24 dev v0`,
      `addr add ${WORLD6}/64 dev v0 nodad`,
      'link set v0 up',
    ]);
    await ipBatch(lab.router, ['addr add 192.168.9.1/24 dev lan9', 'link set lan9 up']);
    await ipBatch(client, [
      'link add docker0 type bridge',
      'addr add 172.20.0.1/24 dev docker0',
      'link set c0 master docker0 up',
      'link set docker0 up',
      'addr add 192.168.9.2/24 dev eth1',
      'link set eth1 up',
      // Of the host's own.
      'rule add from 192.168.77.1 lookup 77 priority 1000',
      'rule add fwmark 0x77 lookup 77',
    ]);
    await ipBatch(container, [
      'link set lo up',
      'addr add 172.20.0.2/24 dev eth0',
      'link set eth0 up',
      'route add default via 172.20.0.1',
    ]);
    await sure(client, ['ethtool', '-K', 'eth1', 'tx', 'off']);
    // As Docker has it; and a strict filter, as many distributions have.
    await sure(client, ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=1']);
    await rules(client, [
      'table ip docker {',
      'chain post { type nat hook postrouting priority srcnat; ip saddr 172.20.0.0/24 oifname != "docker0" masquerade; }',
      'chain pass { type filter hook forward priority filter; policy drop; ct state established,related accept; iifname "docker0" accept; }',
      '}',
    ]);
    await rules(lab.router, [
      'table ip lan9 {',
      'chain post { type nat hook postrouting priority 90; ip saddr 192.168.9.0/24 oifname "wan" masquerade; }',
      '}',
    ]);
    const service = [process.execPath, path.join(PROJECT, 'test/rig/service.mjs'), '443'];
    const program = scene.lab.spawn(world, service);
    services.push(program);
    await program.waitFor(/ready/);
  });

  afterAll(async () => {
    await Promise.all(services.map((one) => one.stop()));
    await removeNamespaces([world, container]);
  });

  async function rules(namespace: string, lines: readonly string[]): Promise<void> {
    await runChecked(inside(namespace, ['nft', '-f', '-']), { input: lines.join('\n') });
  }

  async function sure(namespace: string, argv: readonly string[]): Promise<string> {
    return (await runChecked(inside(namespace, argv), { timeout: patience(20_000) })).stdout;
  }

  async function seenAs(namespace: string, at = WORLD, slowness = 1): Promise<string> {
    const script = path.join(PROJECT, 'test/rig/visitor.mjs');
    const from = at.includes(':') ? '::' : '0.0.0.0';
    const wait = String(Math.ceil(patience(2000 * slowness) / 1000));
    const argv = [process.execPath, script, 'tcp', at, '443', wait, from];
    return (await sure(namespace, argv)).trim().slice(from.length + 1);
  }

  async function watchLeaks(): Promise<{ end(): Promise<readonly string[]> }> {
    // At the other ends of the uplinks: what a program of the kernel's sends is seen there, too.
    const programs = await Promise.all(
      ['lan0', 'lan9'].map(async (device) => {
        const argv = [
          'tcpdump',
          '-lnnqi',
          device,
          '-Q',
          'in',
          '--immediate-mode',
          `not (${HARMLESS})`,
        ];
        const program = scene.lab.spawn(scene.lab.router, argv);
        await program.waitFor(/listening on/);
        return program;
      }),
    );
    return {
      end: async () => {
        const ended = await Promise.all(programs.map((program) => program.stop('SIGINT')));
        return ended.flatMap(({ stdout }) => stdout.split('\n').filter((line) => line !== ''));
      },
    };
  }

  async function connect(): Promise<void> {
    const { lab } = scene;
    const lines = [
      'ip link set eth0 up',
      'ip route flush exact default',
      'ip -6 route flush exact default',
      `ip addr replace ${lab.clientAddress(0, 'ipv6')}/64 dev eth0 nodad`,
      'ip route add default via 192.168.0.1 dev eth0 metric 100',
      'ip route add default via 192.168.9.1 dev eth1 metric 200',
      'ip -6 route add default via 2001:db8:1::1 dev eth0',
    ];
    await sure(lab.client(), ['sh', '-ec', lines.join('\n')]);
  }

  return { base: scene, connect, container: () => container, sure, seenAs, watchLeaks };
}

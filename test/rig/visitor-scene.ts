import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll } from 'vitest';
import { inside, ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { runChecked, type Program } from '../../src/adapters/lab/process.ts';
import { PROJECT } from '../vm/rig/project.ts';
import type { Daemon } from './daemon.ts';
import { labScene, type LabScene } from './lab-scene.ts';
import { patience } from './patience.ts';

/*
 * Services behind NAT that visitors reach at the server's address. To the lab (src/adapters/lab/topology.ts) come
 *
 *   VISITOR                              SERVER            CLIENT                       CONTAINER
 *   v0 198.51.100.10 … .59 ───────── v0 198.51.100.1       c0 172.20.0.1 ──────────── c0 172.20.0.2
 *      2001:db8:51::10 …                2001:db8:51::1        publishes 8080 as Docker does
 *
 * Nobody at home has a route to visitors: an answer that takes the default route is lost.
 */
export const VISITORS = Array.from({ length: 50 }, (_, number) => `198.51.100.${10 + number}`);
export const VISITORS6 = ['2001:db8:51::10', '2001:db8:51::11'];
export const SERVER = '203.0.113.1';
export const SERVER6 = '2001:db8::1';

/** The lab with visitors, and what runs at home: at 443 and, over UDP, 27015 of the client, 8080 and 444 of the container. */
export type VisitorScene = {
  readonly base: LabScene;
  /** The namespace of visitors. */
  readonly visitor: string;
  readonly services: readonly Program[];
  /** Standard output of a program that must succeed. */
  readonly sure: (namespace: string, argv: readonly string[]) => Promise<string>;
  /** Starts a service that tells who visits it. */
  readonly serve: (namespace: string, ...ports: readonly string[]) => Promise<Program>;
  /** What the service took each visitor for. */
  readonly visit: (service: string, options?: Visit) => Promise<Readonly<Record<string, string>>>;
  /** A server and a client that have met. */
  readonly both: (
    server: readonly string[],
    client: readonly string[],
  ) => Promise<{ readonly server: Daemon; readonly client: Daemon }>;
};

export type Visit = {
  readonly to?: string;
  readonly from?: readonly string[];
  readonly namespace?: string;
  readonly seconds?: number;
};

/** Each is seen as who it is. */
export const themselves = (visitors: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(visitors.map((ip) => [ip, ip]));

export const nobody = (visitors: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(visitors.map((ip) => [ip, 'no answer']));

/** Sets it up before the tests of the file that calls it, and takes it down after. */
export function visitorScene(): VisitorScene {
  const scene = labScene({ families: 'both' });
  const services: Program[] = [];
  const visitor = `ipipou-expose-${process.pid}-v`;
  const container = `ipipou-expose-${process.pid}-c`;

  beforeAll(async () => {
    const { lab } = scene;
    const client = lab.client();
    await ipBatch(undefined, [
      ...[visitor, container].map((name) => `netns add ${name}`),
      `link add v0 netns ${visitor} type veth peer name v0 netns ${lab.server}`,
      `link add c0 netns ${container} type veth peer name c0 netns ${client}`,
    ]);
    await ipBatch(lab.server, [
      'addr add 198.51.100.1/24 dev v0',
      'addr add 2001:db8:51::1/64 dev v0 nodad',
      'link set v0 up',
    ]);
    await ipBatch(visitor, [
      'link set lo up',
      ...VISITORS.map((ip) => `addr add ${ip}/24 dev v0`),
      ...VISITORS6.map((ip) => `addr add ${ip}/64 dev v0 nodad`),
      'link set v0 up',
      'route add default via 198.51.100.1',
      'route add default via 2001:db8:51::1',
    ]);
    await ipBatch(client, ['addr add 172.20.0.1/24 dev c0', 'link set c0 up']);
    await ipBatch(container, [
      'link set lo up',
      'addr add 172.20.0.2/24 dev c0',
      'link set c0 up',
      'route add default via 172.20.0.1',
    ]);
    // As Docker publishes a port.
    await sure(client, ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=1']);
    const rules = [
      'table ip docker {',
      'chain pre { type nat hook prerouting priority dstnat; tcp dport 8080 fib daddr type local dnat to 172.20.0.2:8080; }',
      'chain post { type nat hook postrouting priority srcnat; ip saddr 172.20.0.0/24 oifname != "c0" masquerade; }',
      '}',
    ].join('\n');
    await runChecked(inside(client, ['nft', '-f', '-']), { input: rules });
    services.push(
      await serve(client, '443', '27015'),
      await serve(container, '8080'),
      await serve(container, '444'),
    );
  });

  afterAll(async () => {
    await Promise.all(services.map((one) => one.stop()));
    await removeNamespaces([visitor, container]);
  });

  async function sure(namespace: string, argv: readonly string[]): Promise<string> {
    return (await runChecked(inside(namespace, argv), { timeout: patience(20_000) })).stdout;
  }

  async function serve(namespace: string, ...ports: readonly string[]): Promise<Program> {
    const script = path.join(PROJECT, 'test/rig/service.mjs');
    const program = scene.lab.spawn(namespace, [process.execPath, script, ...ports]);
    await program.waitFor(/ready/);
    return program;
  }

  /** What the service took each visitor for. */
  async function visit(
    service: string,
    { to = SERVER, from = VISITORS.slice(0, 2), namespace = visitor, seconds = 8 }: Visit = {},
  ): Promise<Readonly<Record<string, string>>> {
    const [protocol = '', port = ''] = service.split('/');
    const script = path.join(PROJECT, 'test/rig/visitor.mjs');
    const wait = String(Math.ceil(patience(seconds * 1000) / 1000));
    const argv = [process.execPath, script, protocol, to, port, wait, ...from];
    const done = await runChecked(inside(namespace, argv), { timeout: patience(60_000) });
    const lines = done.stdout.trim().split('\n');
    return Object.fromEntries(
      lines.map((line): readonly [string, string] => {
        const [own = '', ...seen] = line.split(' ');
        return [own, seen.join(' ')];
      }),
    );
  }

  async function both(
    server: readonly string[],
    client: readonly string[],
  ): Promise<{ readonly server: Daemon; readonly client: Daemon }> {
    const { lab, start } = scene;
    const daemons = {
      server: await start(lab.server, server),
      client: await start(lab.client(), client),
    };
    await daemons.client.established();
    await daemons.server.established();
    return daemons;
  }

  return { base: scene, visitor, services, sure, serve, visit, both };
}

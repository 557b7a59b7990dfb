import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inventory, surplus, type Inventory } from '../../adapters/lab/inventory.ts';
import type { NatMapping } from '../../adapters/lab/nat-mappings.ts';
import { listNamespaces } from '../../adapters/lab/namespaces.ts';
import { up, type Topology } from '../../adapters/lab/topology.ts';
import { BUILT_MAIN, packageFile } from '../../adapters/system/package-files.ts';
import { formatEndpoint, type Ip } from '../../core/addr.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import type { CommandContext } from '../command.ts';
import { demoTunnel, type DemoTunnel } from './configs.ts';
import { Host } from './host.ts';
import { Report, StepFailed } from './report.ts';
import { transfer } from './transfer.ts';

type Plane = TunnelConfig['dataplane'];

/** Builds the lab, shows the tunnels, and takes all away, also when aborted or when a step fails. */
export async function runDemo(plane: Plane, context: CommandContext): Promise<ExitCode> {
  const report = new Report(context.stdout);
  const folder = await mkdtemp(path.join(tmpdir(), 'ipipou-demo-'));
  const before = await inventory();
  let lab: Topology | undefined;
  try {
    lab = await up({
      ...(hasIpv6() ? { clients: 3, families: ['ipv4', 'ipv4', 'ipv6'] as const } : { clients: 2 }),
      signal: context.signal,
    });
    await show(lab, folder, plane, report);
  } catch (error) {
    if (context.signal.aborted) report.heading('interrupted: cleaning up');
    else if (!(error instanceof StepFailed)) throw error;
  } finally {
    await lab?.down();
    await rm(folder, { recursive: true, force: true });
  }
  const namespaces = lab?.namespaces ?? [];
  await report.attempt('this machine is as it was', async () =>
    expectUnchanged(before, namespaces),
  );
  report.heading(`${report.passed} steps succeeded, ${report.failed} failed`);
  return report.failed > 0 || context.signal.aborted ? EXIT.generic : EXIT.ok;
}

/** Whether the kernel speaks IPv6 at all. */
function hasIpv6(): boolean {
  return existsSync('/proc/net/if_inet6');
}

const DRAWING = `
server 203.0.113.1 ─── 203.0.113.2 NAT router 192.168.0.1 ─┬─ 192.168.0.2 client 0
                                                           └─ 192.168.0.3 client 1`;

const DRAWING6 = `
       2001:db8::1 ─── 2001:db8::2 firewall 2001:db8:1::1 ─── 2001:db8:1::4 client 2`;

const MEGABYTE = 1_000_000;
const SENT_BYTES = 32 * MEGABYTE;
/** iperf3 stops counting when the sender has handed over its last byte: some are on their way then. */
const ARRIVED_BYTES_MIN = 10 * MEGABYTE;

async function show(lab: Topology, folder: string, plane: Plane, report: Report): Promise<void> {
  const main = packageFile(BUILT_MAIN);
  const host = (name: string, namespace: string): Host =>
    new Host(name, namespace, lab, folder, main);
  const server = host('server', lab.server);
  const clients = lab.clients.map((namespace, index) => host(`client ${index}`, namespace));
  const [first, second, third] = clients;
  if (first === undefined || second === undefined) throw new RangeError('a demo has two clients');
  const tunnel = (number: number): DemoTunnel => demoTunnel(number, plane, lab.serverAddress());

  report.heading('A server, and clients behind one router:');
  report.detail(DRAWING.slice(1) + (third === undefined ? '' : DRAWING6));

  report.heading('Without a tunnel');
  await report.step('client 0 reaches the server', async () =>
    expectPing(first, lab.serverAddress()),
  );
  await report.step('the server cannot reach client 0', async () => {
    await expectNoPing(server, [lab.clientAddress(0), ...tunnel(0).inside.client]);
    return 'neither at its own address nor at the tunnel’s';
  });

  report.heading('A tunnel');
  report.detail(`the server's config:\n${indent(tunnel(0).server)}`);
  report.detail(`the client's config:\n${indent(tunnel(0).client)}`);
  await connect(tunnel(0), { server, client: first }, report);
  await transferBothWays(lab, tunnel(0), report);

  report.heading('A second client behind the same public address');
  await connect(tunnel(1), { server, client: second }, report);
  await report.step('the first one goes on', async () =>
    expectPings(server, tunnel(0).inside.client),
  );

  report.heading('A client that has IPv6 alone, and both families inside');
  if (third === undefined) report.detail('left out: this kernel has no IPv6');
  else await showIpv6(lab, { server, client: third }, plane, report);

  report.heading('What there is to see');
  for (const each of [server, first]) {
    let shown = '';
    await report.step(`ipipou show on ${each.name}`, async () => {
      shown = await each.show();
      return undefined;
    });
    report.detail(shown);
  }
  let mappings: readonly NatMapping[] = [];
  await report.step('the router knows only UDP', async () => {
    const families = third === undefined ? (['ipv4'] as const) : (['ipv4', 'ipv6'] as const);
    mappings = (await Promise.all(families.map(async (each) => lab.natMappings(each)))).flat();
    return 'inside, outside, remote';
  });
  for (const { inside, outside, remote } of mappings) {
    report.detail([inside, outside, remote].map(formatEndpoint).join('  →  '));
  }

  report.heading('Down again');
  for (const each of [...clients, server]) {
    await report.step(`${each.name}: every daemon ends and leaves nothing`, async () => {
      await each.stop();
      return undefined;
    });
  }
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join('\n');
}

/** What only a client without IPv4 has to show. */
async function showIpv6(lab: Topology, ends: Ends, plane: Plane, report: Report): Promise<void> {
  const { server, client } = ends;
  const tunnel = demoTunnel(2, plane, lab.serverAddress('ipv6'), { ipv6Inside: true });
  await report.step('the firewall lets nobody in to client 2', async () => {
    await expectPing(client, lab.serverAddress('ipv6'));
    await expectNoPing(server, [lab.clientAddress(2, 'ipv6')]);
    return 'what it sends is answered, no more';
  });
  report.detail(`the client's config:\n${indent(tunnel.client)}`);
  await connect(tunnel, ends, report);
}

type Ends = { readonly server: Host; readonly client: Host };

/** Brings a tunnel up and pings through it both ways. */
async function connect(
  tunnel: DemoTunnel,
  { server, client }: Ends,
  report: Report,
): Promise<void> {
  const { device, inside } = tunnel;
  await report.step(`${client.name} and the server are connected`, async () => {
    const begin = performance.now();
    await server.start(device, tunnel.server);
    await client.start(device, tunnel.client);
    await client.established(device);
    await server.established(device);
    return `${((performance.now() - begin) / 1000).toFixed(1)} s after their start`;
  });
  await report.step(
    `the server reaches ${client.name} at ${inside.client.join(' and ')}`,
    async () => expectPings(server, inside.client),
  );
  await report.step(
    `${client.name} reaches the server at ${inside.server.join(' and ')}`,
    async () => expectPings(client, inside.server),
  );
}

async function transferBothWays(
  lab: Topology,
  { inside }: DemoTunnel,
  report: Report,
): Promise<void> {
  const [server] = inside.server;
  const [client] = inside.client;
  if (server === undefined || client === undefined) throw new RangeError('a tunnel has addresses');
  const ways = [
    { name: 'client 0 to the server', from: lab.client(0), to: lab.server, address: server },
    { name: 'the server to client 0', from: lab.server, to: lab.client(0), address: client },
  ];
  for (const { name, ...ends } of ways) {
    await report.step(`TCP from ${name}`, async () => {
      const { bytes, seconds } = await transfer(lab, ends, SENT_BYTES);
      if (bytes < ARRIVED_BYTES_MIN) throw new StepFailed(`${bytes} bytes arrived`);
      const megabits = (8 * bytes) / MEGABYTE / seconds;
      return `${(bytes / MEGABYTE).toFixed(1)} MB, ${megabits.toFixed(0)} Mbit/s`;
    });
  }
}

async function expectPings(host: Host, targets: readonly Ip[]): Promise<string> {
  let last = '';
  for (const target of targets) last = await expectPing(host, target);
  return last;
}

async function expectNoPing(host: Host, targets: readonly Ip[]): Promise<void> {
  for (const target of targets) {
    if ((await host.ping(target, 1, 1)).code === 0) throw new StepFailed(`${target} answers`);
  }
}

async function expectPing(host: Host, target: Ip): Promise<string> {
  const { code, stdout, stderr } = await host.ping(target);
  const words = `${stdout}${stderr}`.trim();
  if (code !== 0) throw new StepFailed(`${words}\n${host.log()}`);
  return words.split('\n').at(-1) ?? '';
}

/** Throws with what the demo left in this namespace, or of the lab's own. */
async function expectUnchanged(before: Inventory, ours: readonly string[]): Promise<undefined> {
  const after = await inventory();
  const left = [
    ...surplus(after.links, before.links),
    ...surplus(after.routes, before.routes),
    ...surplus(after.nftables, before.nftables),
    ...(await listNamespaces()).filter((name) => ours.includes(name)),
  ];
  if (left.length > 0) throw new StepFailed(`left behind:\n${left.join('\n')}`);
}

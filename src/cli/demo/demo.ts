import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inventory, surplus, type Inventory } from '../../adapters/lab/inventory.ts';
import type { NatMapping } from '../../adapters/lab/nat-mappings.ts';
import { listNamespaces } from '../../adapters/lab/namespaces.ts';
import { SERVER_ADDRESS, up, type Topology } from '../../adapters/lab/topology.ts';
import { BUILT_MAIN, packageFile } from '../../adapters/system/package-files.ts';
import {
  innerIpv4FromNumber,
  addToIp,
  formatEndpoint,
  type InnerIp,
  type Ip,
} from '../../core/addr.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import type { CommandContext } from '../command.ts';
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
    lab = await up({ clients: 2, signal: context.signal });
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

/** 172.28.0.0, the default for the server of tunnel 0. */
const FIRST_INNER = innerIpv4FromNumber(0xac1c0000);

/** Inner addresses of the tunnel that a number names: the server's is the even one. */
function innerAddresses(number: number): { readonly server: InnerIp; readonly client: InnerIp } {
  const server = addToIp(FIRST_INNER, 2 * number);
  return { server, client: addToIp(server, 1) };
}

/** The key pair and secret are the ones that everybody knows from the documentation. */
function serverConfig(number: number, plane: Plane): readonly string[] {
  return [
    'server',
    `number ${number}`,
    'fou-dev eth0',
    `fou-local-port ${10_000 + number}`,
    `tunl-ip ${innerAddresses(number).server}`,
    'auth-remote-pubkey-b64 eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=',
    'auth-secret topsecret',
    'auth-lifetime 3600',
    'reply-on-auth-ok',
    `dataplane ${plane}`,
    'verb 3',
  ];
}

function clientConfig(number: number, plane: Plane): readonly string[] {
  return [
    'client',
    `number ${number}`,
    'fou-local @eth0',
    `fou-remote ${SERVER_ADDRESS}:${10_000 + number}`,
    `tunl-ip ${innerAddresses(number).client}`,
    'auth-key-b64 RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=',
    'auth-secret topsecret',
    'keepalive 27',
    `dataplane ${plane}`,
    'verb 3',
  ];
}

const DRAWING = `
server 203.0.113.1 ─── 203.0.113.2 NAT router 192.168.0.1 ─┬─ 192.168.0.2 client 0
                                                           └─ 192.168.0.3 client 1`;

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
  const [first, second] = clients;
  if (first === undefined || second === undefined) throw new RangeError('a demo has two clients');

  report.heading('A server, and two clients behind one NAT:');
  report.detail(DRAWING.slice(1));

  report.heading('Without a tunnel');
  await report.step('client 0 reaches the server', async () => expectPing(first, SERVER_ADDRESS));
  await report.step('the server cannot reach client 0', async () => {
    for (const target of [lab.clientAddress(0), innerAddresses(0).client]) {
      if ((await server.ping(target, 1)).code === 0) throw new StepFailed(`${target} answers`);
    }
    return 'neither at its own address nor at the tunnel’s';
  });

  report.heading('A tunnel');
  report.detail(`the server's config:\n${indent(serverConfig(0, plane))}`);
  report.detail(`the client's config:\n${indent(clientConfig(0, plane))}`);
  await connect(0, { server, client: first }, plane, report);
  await transferBothWays(lab, report);

  report.heading('A second client behind the same public address');
  await connect(1, { server, client: second }, plane, report);
  await report.step('the first one goes on', async () =>
    expectPing(server, innerAddresses(0).client),
  );

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
    mappings = await lab.natMappings();
    return 'inside, outside, remote';
  });
  for (const { inside, outside, remote } of mappings) {
    report.detail([inside, outside, remote].map(formatEndpoint).join('  →  '));
  }

  report.heading('Down again');
  for (const each of [first, second, server]) {
    await report.step(`${each.name}: every daemon ends and leaves nothing`, async () => {
      await each.stop();
      return undefined;
    });
  }
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join('\n');
}

/** Brings up tunnel `number` and pings through it both ways. */
async function connect(
  number: number,
  { server, client }: { readonly server: Host; readonly client: Host },
  plane: Plane,
  report: Report,
): Promise<void> {
  const device = `ipipou${number}`;
  const inner = innerAddresses(number);
  await report.step(`${client.name} and the server are connected`, async () => {
    const begin = performance.now();
    await server.start(device, serverConfig(number, plane));
    await client.start(device, clientConfig(number, plane));
    await client.established(device);
    await server.established(device);
    return `${((performance.now() - begin) / 1000).toFixed(1)} s after their start`;
  });
  await report.step(`the server reaches ${client.name} at ${inner.client}`, async () =>
    expectPing(server, inner.client),
  );
  await report.step(`${client.name} reaches the server at ${inner.server}`, async () =>
    expectPing(client, inner.server),
  );
}

async function transferBothWays(lab: Topology, report: Report): Promise<void> {
  const inner = innerAddresses(0);
  const ways = [
    { name: 'client 0 to the server', from: lab.client(0), to: lab.server, address: inner.server },
    { name: 'the server to client 0', from: lab.server, to: lab.client(0), address: inner.client },
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

import { run } from '../adapters/lab/process.ts';
import { inside } from '../adapters/lab/namespaces.ts';
import { up, type Topology } from '../adapters/lab/topology.ts';
import type { Probe } from './contestant.ts';
import type { Scene, Shape } from './scenes.ts';

/* A lab whose links have a scene's shape. */

/** Bytes that leave at once: less than a super-packet, so that those are cut before they are counted. */
const BURST = 16_000;
/** How long a packet may wait in the queue of a limited link, in milliseconds. */
const QUEUE_WAIT = 50;
/** Packets that wait in a delayed link: twice what is on its way, at the MTU. */
const DELAY_LIMIT = 1_000;

/** Whether the kernel can delay packets; looked up once, with a namespace to try it in. */
export async function canDelay(probe: Probe): Promise<boolean> {
  const tc = ['tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms'];
  const { code } = await run(inside(probe.namespace, tc));
  if (code === 0) {
    await run(inside(probe.namespace, ['tc', 'qdisc', 'del', 'dev', 'lo', 'root']));
  }
  return code === 0;
}

export type Means = { readonly netem: boolean; readonly signal: AbortSignal };

export async function buildLink(scene: Scene, clients: number, means: Means): Promise<Topology> {
  const families = scene.shape.family === 'ipv6' ? 'both' : 'ipv4';
  const lab = await up({ clients, families, offloads: 'on', lan: 'routed', signal: means.signal });
  try {
    await shapeLink(lab, scene.shape, means.netem);
  } catch (error) {
    await lab.down();
    throw error;
  }
  return lab;
}

async function shapeLink(lab: Topology, shape: Shape, netem: boolean): Promise<void> {
  const hosts = [lab.server, ...lab.clients];
  const ends = [
    ...hosts.map((namespace) => ({ namespace, device: 'eth0' })),
    ...['wan', ...lab.clients.map((_, index) => `lan${index}`)].map((device) => ({
      ...{ namespace: lab.router, device },
    })),
  ];
  if (shape.segmentation === 'off') {
    const features = ['tso', 'off', 'gso', 'off', 'gro', 'on'];
    for (const { namespace, device } of ends) {
      await checked(lab, namespace, ['ethtool', '-K', device, ...features]);
    }
  }
  for (const namespace of hosts) {
    // No memory of what an earlier connection to the same address went through.
    await checked(lab, namespace, ['sysctl', '-qw', 'net.ipv4.tcp_no_metrics_save=1']);
  }
  for (const { device } of ends.filter(({ namespace }) => namespace === lab.router)) {
    const queue = discipline(shape, netem);
    if (queue === undefined) continue;
    await checked(lab, lab.router, ['tc', 'qdisc', 'add', 'dev', device, 'root', ...queue]);
  }
}

/** What limits the router's sending, in words of `tc`. */
function discipline(shape: Shape, netem: boolean): readonly string[] | undefined {
  const rate = shape.rate === undefined ? [] : ['rate', `${shape.rate}mbit`];
  if (shape.delay !== undefined && netem) {
    const limit = ['limit', String(DELAY_LIMIT)];
    return ['netem', 'delay', `${shape.delay / 2}ms`, ...rate, ...limit];
  }
  if (rate.length === 0) return undefined;
  return ['tbf', ...rate, 'burst', String(BURST), 'latency', `${QUEUE_WAIT}ms`];
}

/** Slows what leaves by a device, to Mbit/s: a contestant hampered on purpose. */
export async function hamper(
  lab: Topology,
  namespace: string,
  device: string,
  rate: number,
): Promise<void> {
  const queue = ['tbf', 'rate', `${rate}mbit`, 'burst', '64000', 'latency', `${QUEUE_WAIT}ms`];
  await checked(lab, namespace, ['tc', 'qdisc', 'replace', 'dev', device, 'root', ...queue]);
}

/** Takes that away again, from a device that stays. */
export async function unhamper(lab: Topology, namespace: string, device: string): Promise<void> {
  await lab.exec(namespace, ['tc', 'qdisc', 'del', 'dev', device, 'root']);
}

async function checked(lab: Topology, namespace: string, argv: readonly string[]): Promise<void> {
  const { code, stderr } = await lab.exec(namespace, argv);
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr.trim()}`);
}

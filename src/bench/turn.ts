import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { inventory, surplus, type Inventory } from '../adapters/lab/inventory.ts';
import type { Topology } from '../adapters/lab/topology.ts';
import { millis } from '../core/units.ts';
import type { Contestant, Tunnel } from './contestant.ts';
import type { Side } from './side.ts';
import { startIperfServer } from './iperf.ts';
import { buildLink, hamper, unhamper, type Means } from './link.ts';
import { ReplyWatch } from './ping.ts';
import type { ProfileLine, Sample } from './results.ts';
import type { Scene, Step } from './scenes.ts';
import { Site } from './site.ts';
import { takeProfile, takeStep, type Stage } from './steps.ts';

/** How long a contestant may take from its client's start to the first reply. */
const START_TIMEOUT = millis(120_000);
/** How long what is on its way out (a device, a process) may take. */
const SETTLE = 5_000;
const POLL = 20;

export type TurnOptions = {
  readonly round: number;
  readonly seconds: number;
  readonly means: Means;
  /** Whether to see that nothing stays in the namespaces. */
  readonly inspect: boolean;
  /** Mbit/s that this contestant is slowed to, for seeing that the table shows it. */
  readonly slowed: number | undefined;
};

/** One contestant's turn in one scene: built, measured, taken down, and looked after. */
export async function takeTurn(
  scene: Scene,
  contestant: Contestant,
  options: TurnOptions,
): Promise<Sample> {
  const at = { scene: scene.name, contestant: contestant.name, round: options.round };
  if (scene.shape.family === 'ipv6' && contestant.notOverIpv6 !== undefined) {
    return { ...at, values: {}, missing: { tcp: contestant.notOverIpv6 } };
  }
  const clients = Math.min(scene.clients, contestant.clients);
  await using lab = await buildLink(scene, clients, options.means);
  await using site = await Site.open(lab, scene.shape.family);
  const undoRouting = contestant.router === 'routes' ? await site.withoutNat() : undefined;
  const ends = options.inspect ? [lab.server, ...lab.clients] : [];
  const before = await Promise.all(ends.map(async (name) => inventory(name)));
  const measured = await perform(scene, contestant, site, options);
  await expectClean(ends, before);
  await undoRouting?.();
  return measured;
}

async function perform(
  scene: Scene,
  contestant: Contestant,
  site: Site,
  options: TurnOptions,
): Promise<Sample> {
  const found: Found = { values: {}, missing: {} };
  const tunnel = await contestant.open(site);
  const sides: Side[] = [];
  try {
    const { elapsed } = await startAll(site, tunnel, sides);
    const timed = scene.steps.some(({ kind }) => kind === 'ping');
    if (timed && contestant.kind !== 'bare') found.values['start'] = elapsed;
    if (options.slowed !== undefined) await slow(site.lab, sides, options.slowed);
    await using server = await startIperfServer(site.lab, site.lab.server);
    const stage: Stage = {
      ...{ site, contestant, tunnel, sides },
      seconds: options.seconds * stretch(scene, options.means),
    };
    for (const step of scene.steps) {
      options.means.signal.throwIfAborted();
      await attempt(step, stage, found);
    }
    await server.stop();
    if (options.slowed !== undefined) await restore(site.lab, sides);
  } finally {
    await stopAll(sides);
  }
  return { scene: scene.name, contestant: contestant.name, round: options.round, ...found };
}

/** A delay that this kernel cannot make needs no patience. */
function stretch(scene: Scene, { netem }: Means): number {
  return scene.shape.delay === undefined || netem ? scene.stretch : 1;
}

/** What a turn has found so far. */
type Found = {
  readonly values: Record<string, number>;
  readonly missing: Record<string, string>;
  profile?: readonly ProfileLine[];
};

/** A measurement that fails leaves its reason; the turn goes on. */
async function attempt(step: Step, stage: Stage, found: Found): Promise<void> {
  try {
    if (step.kind === 'profile') found.profile = await takeProfile(stage);
    else Object.assign(found.values, await takeStep(step, stage));
  } catch (error) {
    found.missing['id' in step ? step.id : step.kind] = firstLine(error);
  }
}

export function firstLine(error: unknown): string {
  const LONGEST = 200;
  const message = error instanceof Error ? error.message : String(error);
  return (message.split('\n')[0] ?? '').slice(0, LONGEST);
}

/**
 * Milliseconds from the first client's start to its first reply. Others, whose start nobody
 * measures, start one on each processor at a time.
 */
async function startAll(site: Site, tunnel: Tunnel, sides: Side[]) {
  sides.push(await tunnel.startServer());
  const watch = await ReplyWatch.start(site.lab, site.lab.client(), tunnel.serverAddress);
  const began = Date.now();
  try {
    sides.push(await tunnel.startClient(0));
    const elapsed = (await watch.replyAfter(began, START_TIMEOUT)) - began;
    await watch.stop();
    const others = Array.from(site.lab.clients.keys()).slice(1);
    const start = async (): Promise<void> => {
      for (let index = others.shift(); index !== undefined; index = others.shift()) {
        sides.push(await tunnel.startClient(index));
        await untilReply(site, tunnel, index);
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, start));
    return { elapsed };
  } catch (error) {
    throw withOutput(error, sides);
  } finally {
    await watch.stop();
  }
}

/** Waits until another client's packets come through too. */
async function untilReply(site: Site, tunnel: Tunnel, index: number): Promise<void> {
  const once = ['ping', '-q', '-c', '1', '-W', '1', tunnel.serverAddress];
  const replies = async () => (await site.lab.exec(site.lab.client(index), once)).code === 0;
  await site.until(`client ${index}`, replies, [], START_TIMEOUT);
}

function withOutput(error: unknown, sides: readonly Side[]): Error {
  const LINES = 8;
  const said = sides
    .flatMap(({ programs }) => programs)
    .map((program) => program.output().trimEnd().split('\n').slice(-LINES).join('\n'));
  const message = error instanceof Error ? error.message.split('\n')[0] : String(error);
  return new Error(`no reply through the tunnel: ${message}\n${said.join('\n')}`, { cause: error });
}

/** Clients first, as a machine that goes to sleep does; every one is tried. */
async function stopAll([server, ...clients]: readonly Side[]): Promise<void> {
  const ended = [
    ...(await Promise.allSettled(clients.map(async (side) => side.stop()))),
    ...(await Promise.allSettled([server?.stop()])),
  ];
  const failed = ended.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

async function slow(lab: Topology, sides: readonly Side[], rate: number): Promise<void> {
  for (const { namespace, device } of sides) await hamper(lab, namespace, device, rate);
}

async function restore(lab: Topology, sides: readonly Side[]): Promise<void> {
  for (const { namespace, device } of sides) await unhamper(lab, namespace, device);
}

/** What a contestant made in the namespaces must be gone; rejects with what is left. */
async function expectClean(
  namespaces: readonly string[],
  before: readonly Inventory[],
): Promise<void> {
  const deadline = performance.now() + SETTLE;
  for (;;) {
    const after = await Promise.all(namespaces.map(async (name) => inventory(name)));
    const left = after.flatMap((now, index) => remains(now, before[index]));
    if (left.length === 0) return;
    if (performance.now() > deadline) throw new Error(`left behind: ${left.join('; ')}`);
    await delay(POLL);
  }
}

function remains(now: Inventory, before: Inventory | undefined): readonly string[] {
  if (before === undefined) return [];
  return (['links', 'addresses', 'routes', 'nftables'] as const).flatMap((what) =>
    surplus(now[what], before[what]),
  );
}

import { up } from '../adapters/lab/topology.ts';
import type { Contestant } from './contestant.ts';
import { loadModules } from './contestants/requirements.ts';
import { gatherFacts, type Outside } from './facts.ts';
import { canDelay } from './link.ts';
import { FORMAT, VERSION, type Entry, type Failure, type Results, type Sample } from './results.ts';
import type { Scene } from './scenes.ts';
import { takeTurn } from './turn.ts';

/* Rounds in which everybody has a turn in every scene, so that a noisy machine harms all alike. */

export type ContestOptions = {
  readonly rounds: number;
  readonly seconds: number;
  readonly scenes: readonly Scene[];
  readonly contestants: readonly Contestant[];
  readonly slowed: Readonly<Record<string, number>>;
  readonly outside: Outside | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
};

export type Progress = {
  /** Turns that have ended, of so many. */
  readonly done: number;
  readonly total: number;
  readonly round: number;
  readonly scene: string;
  readonly contestant: string;
};

type Turn = { readonly round: number; readonly scene: Scene; readonly contestant: Contestant };

/** Runs all rounds; rejects when interrupted, and then nothing is left of it. */
export async function runContest(options: ContestOptions): Promise<Results> {
  const { entries, present, netem } = await lookAround(options);
  const encrypted = present.some(({ kind }) => kind === 'encrypted');
  const facts = await gatherFacts(netem, encrypted, options);
  const samples: Sample[] = [];
  const failures: Failure[] = [];
  const turns = plan(options, present);
  const inspected = new Set<string>();
  for (const [done, { round, scene, contestant }] of turns.entries()) {
    const at = { round, scene: scene.name, contestant: contestant.name };
    options.onProgress({ ...at, done, total: turns.length });
    try {
      const means = { netem, signal: options.signal };
      const slowed = options.slowed[contestant.name];
      // Once for each: emulated, looking around takes as long as a measurement.
      const inspect = !inspected.has(contestant.name);
      inspected.add(contestant.name);
      const settings = { round, seconds: options.seconds, means, inspect, slowed };
      samples.push(await takeTurn(scene, contestant, settings));
    } catch (error) {
      failures.push({ ...at, reason: reason(error) });
    }
    options.signal.throwIfAborted();
  }
  const { rounds, seconds, scenes, slowed } = options;
  return {
    ...{ format: FORMAT, version: VERSION, facts },
    options: { rounds, seconds, scenes: scenes.map(({ name }) => name), slowed },
    ...{ contestants: entries, samples, failures },
  };
}

/** In every round every scene that has its turn, in every scene everybody. */
export function plan(
  { rounds, scenes }: Pick<ContestOptions, 'rounds' | 'scenes'>,
  contestants: readonly Contestant[],
): readonly Turn[] {
  return Array.from({ length: rounds }, (_, index) => index + 1).flatMap((round) =>
    scenes
      .filter(({ share }) => Math.ceil(round * share) > Math.ceil((round - 1) * share))
      .flatMap((scene) =>
        contestants
          .filter(({ name, clients }) => clients >= scene.clients && !scene.without.includes(name))
          .map((contestant) => ({ round, scene, contestant })),
      ),
  );
}

/** Who can run on this machine, and why the others cannot. */
async function lookAround({ contestants, signal }: ContestOptions) {
  await loadModules();
  await using lab = await up({ signal });
  const probe = { namespace: lab.server };
  const netem = await canDelay(probe);
  const entries: Entry[] = [];
  const present: Contestant[] = [];
  for (const contestant of contestants) {
    signal.throwIfAborted();
    const why = await contestant.unavailable(probe);
    if (why === undefined) present.push(contestant);
    entries.push(entryOf(contestant, why));
  }
  return { entries, present, netem };
}

function entryOf(contestant: Contestant, unavailable: string | undefined): Entry {
  const { name, title, kind, runsIn, protects, overhead, mtu, router, remark } = contestant;
  return {
    ...{ name, title, kind, runsIn, protects, mtu, router, remark },
    ...(overhead === undefined ? {} : { overhead }),
    ...(unavailable === undefined ? {} : { unavailable }),
  };
}

/** What a failed turn said, on one line. */
function reason(error: unknown): string {
  const LONGEST = 390;
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll(/\s*\p{Cc}+\s*/gu, ' | ').slice(0, LONGEST);
}

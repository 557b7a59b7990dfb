import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { IpipouError } from '../core/errors.ts';
import type { RunEntry, RunList } from '../ports/run-store.ts';
import { configPathOf } from './config-path.ts';

/**
 * The tunnel of this network namespace that a word names: its device, its config's name, or any
 * path of its config. Throws when there is none, or more than one.
 */
export function findRun(word: string, runs: RunList): RunEntry {
  const one = findRunIfAny(word, runs);
  if (one !== undefined) return one;
  const others = runs
    .list()
    .map(({ device }) => device)
    .join(', ');
  throw new IpipouError('generic', `no tunnel ${JSON.stringify(word)} in this namespace`, {
    hint: others === '' ? 'none is running; ipipou up starts one' : `there is: ${others}`,
  });
}

/** The same, undefined when there is none. */
export function findRunIfAny(word: string, runs: RunList): RunEntry | undefined {
  const all = runs.list();
  const byDevice = all.filter(({ device }) => device === word);
  const found = byDevice.length > 0 ? byDevice : all.filter((entry) => isNamed(entry, word));
  const [one, another] = found;
  if (another !== undefined) {
    const devices = found.map(({ device }) => device).join(', ');
    throw new IpipouError('arguments', `${JSON.stringify(word)} names several tunnels`, {
      hint: `name one by its device: ${devices}`,
    });
  }
  return one;
}

/** The tunnels that a command is about: that of a word, or without one all of this network namespace. */
export function findRuns(word: string | undefined, runs: RunList): readonly RunEntry[] {
  return word === undefined ? runs.list() : [findRun(word, runs)];
}

/** The tunnels of a config file, by whatever path they were started with. */
export function runsOfConfig(path: string, runs: RunList): readonly RunEntry[] {
  return runs.list().filter((entry) => isOfConfig(entry, path));
}

/** What is said where there are none. */
export const NO_TUNNELS = 'no tunnels in this network namespace\n';

function isNamed(entry: RunEntry, word: string): boolean {
  return entry.record.config.name === word || isOfConfig(entry, configPathOf(word));
}

function isOfConfig({ record: { configPath } }: RunEntry, path: string): boolean {
  return configPath !== undefined && realPath(configPath) === realPath(path);
}

/** Links resolved, as far as the file is there. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

import { parseArgs } from 'node:util';
import { IpipouError } from '../core/errors.ts';
import type { Contestant } from './contestant.ts';
import { CONTESTANTS } from './contestants/table.ts';
import {
  GUEST_SCENES,
  IPV6,
  NO_GUEST_SCENE,
  PROFILE,
  QUICK,
  SCENES,
  type Scene,
} from './scenes.ts';

/* What `ipipou bench` was asked for. */

export type BenchOptions = {
  readonly rounds: number;
  /** Of one measurement. */
  readonly seconds: number;
  readonly scenes: readonly Scene[];
  readonly contestants: readonly Contestant[];
  readonly slowed: Readonly<Record<string, number>>;
  /** Where results go, as JSON. */
  readonly out: string | undefined;
  readonly json: boolean;
  readonly list: boolean;
  readonly vm: boolean;
  /** A file of what the machine around this guest knows. */
  readonly outside: string | undefined;
};

const ROUNDS_MAX = 100;
const SECONDS_MAX = 600;
const DEFAULT_ROUNDS = 4;

/** Throws with exit `arguments` for what does not fit. */
export function parseBenchOptions(args: readonly string[]): BenchOptions {
  const values = parse(args);
  const quick = values.quick === true;
  const linked = linksOf(values.links, quick, values.vm === true || values.outside !== undefined);
  const scenes = values.profile === true ? [...new Set([...linked, PROFILE])] : linked;
  return {
    rounds: count('--rounds', values.rounds, quick ? 1 : DEFAULT_ROUNDS, ROUNDS_MAX),
    seconds: count('--seconds', values.seconds, 1, SECONDS_MAX),
    scenes: values.only === undefined ? scenes : scenes.map((each) => ({ ...each, without: [] })),
    contestants: values.only === undefined ? CONTESTANTS : pick('--only', values.only, CONTESTANTS),
    slowed: slowedOf(values.slow ?? []),
    out: values.out,
    json: values.json === true,
    list: values.list === true,
    vm: values.vm === true,
    outside: values.outside,
  };
}

function linksOf(names: string | undefined, quick: boolean, guest: boolean): readonly Scene[] {
  const table = guest ? GUEST_SCENES : SCENES;
  if (names !== undefined) return pick('--links', names, [...table, QUICK, IPV6, PROFILE]);
  if (quick) return [QUICK];
  return guest ? table.filter(({ name }) => name !== NO_GUEST_SCENE) : table;
}

/** The arguments that ask a guest for the same, beside `--outside`. */
export function guestArguments(options: BenchOptions): readonly string[] {
  const names = (of: readonly { readonly name: string }[]): string =>
    of.map(({ name }) => name).join(',');
  return [
    ...['--rounds', String(options.rounds), '--seconds', String(options.seconds)],
    ...['--links', names(options.scenes)],
    ...(options.contestants === CONTESTANTS ? [] : ['--only', names(options.contestants)]),
    ...Object.entries(options.slowed).flatMap(([name, rate]) => ['--slow', `${name}=${rate}`]),
  ];
}

function parse(args: readonly string[]) {
  const flag = { type: 'boolean' } as const;
  const word = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...{ rounds: word, seconds: word, only: word, links: word, out: word, outside: word },
        ...{ quick: flag, profile: flag, json: flag, list: flag, vm: flag },
        slow: { type: 'string', multiple: true },
      },
    }).values;
  } catch (error) {
    throw misuse(error instanceof Error ? error.message : String(error));
  }
}

function count(flag: string, text: string | undefined, fallback: number, most: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < 1 || value > most) {
    throw misuse(`${flag}: expected a whole number from 1 to ${most}, not "${text}"`);
  }
  return value;
}

/** Those of a table that a list of names picks, in the order of the table. */
function pick<T extends { readonly name: string }>(
  flag: string,
  text: string,
  table: readonly T[],
): readonly T[] {
  const names = text.split(',');
  const unknown = names.find((name) => !table.some((each) => each.name === name));
  if (unknown !== undefined) {
    const known = table.map(({ name }) => name).join(', ');
    throw misuse(`${flag}: there is no "${unknown}"; there are ${known}`);
  }
  return table.filter(({ name }) => names.includes(name));
}

function slowedOf(texts: readonly string[]): Readonly<Record<string, number>> {
  const LEAST = 0.1;
  const MOST = 1e5;
  return Object.fromEntries(
    texts.map((text) => {
      const [name = '', rate = ''] = text.split('=');
      const value = Number(rate);
      if (!/^[0-9.]+$/.test(rate) || !(value >= LEAST && value <= MOST)) {
        throw misuse(`--slow: expected NAME=MBIT, not "${text}"`);
      }
      pick('--slow', name, CONTESTANTS);
      return [name, value];
    }),
  );
}

export function misuse(problem: string): IpipouError {
  return new IpipouError('arguments', `bench: ${problem}`, { hint: 'ipipou help bench' });
}

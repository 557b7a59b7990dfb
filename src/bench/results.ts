import type { Protection } from './contestant.ts';
import {
  integer,
  list,
  number,
  object,
  oneOf,
  optional,
  record,
  text,
  type Decoder,
  type Decoded,
} from './decode.ts';

/* What a run leaves: a JSON file that tables, charts and comparisons are made from. */

export const FORMAT = 'ipipou-bench';
/** Counts up when a file of before can no longer be read. */
export const VERSION = 1;

/** Bytes of a file beyond which it is no result of ours. */
export const RESULTS_MAX = 16 * 1024 * 1024;

/** One turn of one contestant. */
export type Sample = {
  readonly scene: string;
  readonly contestant: string;
  /** From 1; what is compared with the bare path is compared within a round. */
  readonly round: number;
  readonly values: Readonly<Record<string, number>>;
  /** Why something could not be measured, by the measure's word. */
  readonly missing: Readonly<Record<string, string>>;
  /** Where the machine's time went during one stream up, greatest first; only where asked for. */
  readonly profile?: readonly ProfileLine[] | undefined;
};

/** `share`: percent of all samples. */
export type ProfileLine = { readonly share: number; readonly symbol: string };

/** A turn that failed as a whole. */
export type Failure = Pick<Sample, 'scene' | 'contestant' | 'round'> & { readonly reason: string };

export type Entry = {
  readonly name: string;
  readonly title: string;
  readonly kind: 'bare' | 'plain' | 'encrypted';
  readonly runsIn: 'kernel' | 'user space';
  /** Not in results of versions before it was told. */
  readonly protects?: Protection | undefined;
  readonly overhead?: number | undefined;
  readonly mtu: number;
  readonly router: 'translates' | 'routes';
  readonly remark: string;
  /** Why it did not run here. */
  readonly unavailable?: string | undefined;
};

export type Facts = {
  readonly place: 'host' | 'guest';
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly commit: string;
  /** ISO 8601. */
  readonly date: string;
  /** Whether this kernel delays packets (netem); without, slow links are only slow. */
  readonly netem: boolean;
  /** MB/s of one processor by `openssl speed`, here, and for a guest on the machine around it. */
  readonly crypto: Readonly<Record<string, number>>;
  readonly cryptoOutside?: Readonly<Record<string, number>> | undefined;
};

export type Results = {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  readonly facts: Facts;
  readonly options: {
    readonly rounds: number;
    readonly seconds: number;
    readonly scenes: readonly string[];
    /** Contestants that were slowed on purpose, to so many Mbit/s. */
    readonly slowed: Readonly<Record<string, number>>;
  };
  readonly contestants: readonly Entry[];
  readonly samples: readonly Sample[];
  readonly failures: readonly Failure[];
};

const word = text(60, /^[A-Za-z0-9-]+$/);
const line = text(400);
const finite = number(-1e15, 1e15);
const round = integer(1, 1000);

const sample: Decoder<Sample> = object({
  scene: word,
  contestant: word,
  round,
  values: record(200, word, finite),
  missing: record(200, word, line),
  profile: optional(list(50, object({ share: number(0, 100), symbol: line }))),
});

const entry: Decoder<Entry> = object({
  name: word,
  title: line,
  kind: oneOf('bare', 'plain', 'encrypted'),
  runsIn: oneOf('kernel', 'user space'),
  protects: optional(
    object({
      secrecy: oneOf(true, false),
      integrity: oneOf('all', 'headers', 'none'),
      replay: oneOf(true, false),
    }),
  ),
  overhead: optional(integer(0, 1000)),
  mtu: integer(68, 65_535),
  router: oneOf('translates', 'routes'),
  remark: line,
  unavailable: optional(line),
});

const speeds = record(10, line, number(0, 1e9));

const facts: Decoder<Facts> = object({
  place: oneOf('host', 'guest'),
  kernel: line,
  cpu: line,
  cpus: integer(1, 100_000),
  memoryMiB: integer(0, 1e9),
  versions: record(50, line, line),
  commit: line,
  date: line,
  netem: oneOf(true, false),
  crypto: speeds,
  cryptoOutside: optional(speeds),
});

const results: Decoder<Results> = object({
  format: oneOf(FORMAT),
  version: oneOf(VERSION),
  facts,
  options: object({
    rounds: round,
    seconds: integer(1, 3600),
    scenes: list(20, word),
    slowed: record(100, word, number(0.001, 1e6)),
  }),
  contestants: list(100, entry),
  samples: list(100_000, sample),
  failures: list(100_000, object({ scene: word, contestant: word, round, reason: line })),
});

/** The results that a file's text spells, or where it is none. Never throws. */
export function decodeResults(json: string): Decoded<Results> {
  if (json.length > RESULTS_MAX) return { ok: false, reason: `longer than ${RESULTS_MAX} bytes` };
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { ok: false, reason: 'not JSON' };
  }
  return results(value, 'results');
}

/** One sample a line: a later run's file then differs only where it does. */
export function encodeResults(given: Results): string {
  const { samples, failures, ...rest } = given;
  const head = JSON.stringify(rest, undefined, 1).slice(0, -2);
  const lines = (values: readonly unknown[]): string =>
    values.length === 0
      ? '[]'
      : `[\n${values.map((value) => `  ${JSON.stringify(value, rounded)}`).join(',\n')}\n ]`;
  return `${head},\n "failures": ${lines(failures)},\n "samples": ${lines(samples)}\n}\n`;
}

/** Six digits: what is beyond them is noise. */
function rounded(_: string, value: unknown): unknown {
  const DIGITS = 6;
  return typeof value === 'number' ? Number(value.toPrecision(DIGITS)) : value;
}

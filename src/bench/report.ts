import {
  contestantsOf,
  hasMeasure,
  missingReason,
  ratiosOf,
  REFERENCE,
  spreadOf,
} from './analysis.ts';
import { findMeasure, PEERS, SIZES } from './measures.ts';
import type { Entry, Facts, Results } from './results.ts';
import { IPV6, PROFILE, QUICK, SCENES } from './scenes.ts';
import { relativeSpread, spread } from './statistics.ts';
import { formatNumber, type Table } from './table.ts';

/* The tables of a run. */

/** A column: a measure's figures, or its ratio to the bare path. */
type Column = {
  readonly heading: string;
  readonly measure: string;
  readonly show: 'value' | 'ratio';
  /** Figures are divided by this: packets a second are shown in thousands. */
  readonly scale?: number;
};

type Plan = { readonly suffix: string; readonly columns: readonly Column[] };

const CPU = 'CPU-%';
const MOVED = 'Mbit/s per CPU-%';

function tcpPlan(suffix: string, up: string, down: string, more: readonly Column[]): Plan {
  return {
    suffix,
    columns: [
      value('up, Mbit/s', up),
      ratio('of bare', up),
      value('down, Mbit/s', down),
      ratio('of bare', down),
      value(CPU, `${up}Cpu`),
      value(MOVED, `${up}Efficiency`),
      ...more,
    ],
  };
}

function value(heading: string, measure: string, scale = 1): Column {
  return { heading, measure, show: 'value', scale };
}

function ratio(heading: string, measure: string): Column {
  return { heading, measure, show: 'ratio' };
}

const KILO = 1000;

const PLANS: readonly Plan[] = [
  tcpPlan('TCP, one stream', 'tcpUp', 'tcpDown', [
    value('client’s programs, CPU-%', 'daemonClient'),
    value('server’s programs, CPU-%', 'daemonServer'),
  ]),
  tcpPlan('TCP, four streams', 'tcpUpMany', 'tcpDownMany', []),
  {
    suffix: 'latency, start and recovery, ms',
    columns: [
      ...[value('idle min', 'pingMin'), value('avg', 'pingAvg'), value('max', 'pingMax')],
      ...[value('mdev', 'pingMdev'), value('under load min', 'loadMin'), value('avg', 'loadAvg')],
      ...[value('max', 'loadMax'), value('mdev', 'loadMdev')],
      ...[value('start', 'start'), value('recovery', 'recover')],
    ],
  },
  {
    suffix: 'UDP at a given rate, 1400 bytes',
    columns: [
      value('packets/s', 'udpRatePps'),
      value('loss, %', 'udpRateLoss'),
      value('CPU a packet, µs', 'udpRateCost'),
    ],
  },
  {
    suffix: 'UDP at saturation',
    columns: SIZES.flatMap((size) => [
      value(`${size} bytes, kpackets/s`, `udp${size}Pps`, KILO),
      value('loss, %', `udp${size}Loss`),
      value('µs a packet', `udp${size}Cost`),
    ]),
  },
  {
    suffix: 'TCP up',
    columns: PEERS.flatMap((count) => [
      value(`${count === 1 ? '1 client' : `${count} clients`}, Mbit/s`, `peers${count}`),
      value(MOVED, `peers${count}Efficiency`),
    ]),
  },
];

/** Every table that the run has figures for, one scene after the other. */
export function tablesOf(results: Results): readonly Table[] {
  const scenes = [...SCENES, QUICK, IPV6, PROFILE].filter(({ name }) =>
    results.options.scenes.includes(name),
  );
  return scenes.flatMap(({ name, title }) =>
    PLANS.flatMap((plan) => {
      const columns = plan.columns.filter(({ measure }) => hasMeasure(results, name, measure));
      return columns.some(({ show }) => show === 'value')
        ? [
            sceneTable(
              results,
              name,
              `${sceneTitle(results, name, title)}: ${plan.suffix}`,
              columns,
            ),
          ]
        : [];
    }),
  );
}

/** A kernel without netem cannot delay. */
function sceneTitle({ facts }: Results, name: string, title: string): string {
  return name === 'slow' && !facts.netem
    ? '20 Mbit/s (without the 200 ms: this kernel cannot delay packets)'
    : title;
}

function sceneTable(
  results: Results,
  scene: string,
  title: string,
  columns: readonly Column[],
): Table {
  const rows = contestantsOf(results, scene).map((entry) => [
    entry.title,
    ...columns.map((column) => cell(results, scene, entry, column)),
  ]);
  return { title, columns: ['', ...columns.map(({ heading }) => heading)], rows, notes: [] };
}

/** "9 876 ±4 %": the median and half the interquartile range. */
function cell(results: Results, scene: string, entry: Entry, column: Column): string {
  const { measure, show, scale = 1 } = column;
  if (show === 'ratio') return ratioCell(results, scene, entry.name, measure);
  const found = spreadOf(results, scene, entry.name, measure);
  if (found === undefined) {
    return missingReason(results, scene, entry.name, measure) === undefined ? '' : '–';
  }
  const { digits = 0 } = findMeasure(measure) ?? {};
  const scaled = found.median / scale;
  const FEW = 10;
  const decimals = scale > 1 && scaled < FEW ? 1 : scale > 1 ? 0 : digits;
  return found.count < 2
    ? formatNumber(scaled, decimals)
    : `${formatNumber(scaled, decimals)} ±${percent(relativeSpread(found))}`;
}

export function ratioCell(
  results: Results,
  scene: string,
  contestant: string,
  measure: string,
): string {
  const found = spread(ratiosOf(results, scene, contestant, measure));
  if (found === undefined || contestant === REFERENCE) return '';
  const digits = found.median < 0.1 ? 3 : 2;
  const half = (found.high - found.low) / 2;
  const text = found.median.toFixed(digits);
  return found.count < 2 ? text : `${text} ±${half.toFixed(digits)}`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)}\u202f%`;
}

/** Who took part with what, and who could not and why. */
export function contestantTable({ contestants }: Results): Table {
  return {
    title: 'Contestants',
    columns: [
      '',
      'carried by',
      'secrecy',
      'integrity',
      'replay',
      'MTU',
      'overhead, bytes',
      'remark',
    ],
    rows: contestants.map((entry) => [
      entry.title,
      entry.runsIn,
      ...protectionCells(entry),
      String(entry.mtu),
      entry.overhead === undefined ? 'varies' : String(entry.overhead),
      entry.unavailable === undefined ? entry.remark : `not here: ${entry.unavailable}`,
    ]),
    notes: [],
  };
}

function protectionCells({ kind, protects }: Entry): readonly string[] {
  if (!protects) return [kind === 'encrypted' ? 'yes' : 'no', '', ''];
  const { secrecy, integrity, replay } = protects;
  const proved = { all: 'yes', headers: 'headers', none: 'no' }[integrity];
  return [secrecy ? 'yes' : 'no', proved, replay ? 'yes' : 'no'];
}

/** The columns that matter most, of the unlimited links. */
export function summaryTable(results: Results): Table {
  const columns = [
    ...(['super', 'frames'] as const).flatMap((scene) => [
      { scene, column: value(`${SHORT[scene]}: TCP up, Mbit/s`, 'tcpUp') },
      { scene, column: ratio('of bare', 'tcpUp') },
    ]),
    { scene: 'super', column: value(MOVED, 'tcpUpEfficiency') },
    { scene: 'super', column: value('ping, ms', 'pingAvg') },
    { scene: 'super', column: value('start, ms', 'start') },
    { scene: 'super', column: value('recovery, ms', 'recover') },
  ].filter(({ scene, column }) => hasMeasure(results, scene, column.measure));
  return {
    title: 'In short',
    columns: ['', ...columns.map(({ column }) => column.heading)],
    rows: contestantsOf(results, 'super').map((entry) => [
      entry.title,
      ...columns.map(({ scene, column }) => cell(results, scene, entry, column)),
    ]),
    notes: [],
  };
}

const SHORT = { super: 'super-packets', frames: 'frames' } as const;

/** What the run was made on, a line each. */
export function factLines({ facts, options }: Results): readonly string[] {
  const { kernel, cpu, cpus, memoryMiB, versions, commit, date } = facts;
  const slowed = Object.entries(options.slowed).map(([name, rate]) => `${name} to ${rate} Mbit/s`);
  const seconds = `${options.seconds} s a measurement`;
  return [
    `Linux ${kernel}, ${cpus} × ${cpu}, ${memoryMiB} MiB; ${date.slice(0, 10)}; commit ${commit}`,
    `${options.rounds} rounds, ${seconds}; medians ± half the interquartile range`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    ...(slowed.length === 0 ? [] : [`slowed on purpose: ${slowed.join(', ')}`]),
    ...cryptoLines(facts),
  ];
}

/** How much an emulated machine handicaps encryption. */
export function cryptoLines({ crypto, cryptoOutside }: Facts): readonly string[] {
  if (cryptoOutside === undefined) return [];
  return Object.entries(crypto).flatMap(([cipher, inside]) => {
    const outside = cryptoOutside[cipher];
    if (outside === undefined) return [];
    const factor = formatNumber(outside / inside, 0);
    const rates = `${formatNumber(inside, 0)} MB/s here, ${formatNumber(outside, 0)} MB/s outside`;
    return [`emulation handicaps encryption: ${cipher} ${rates}, a factor of ${factor}`];
  });
}

/** Turns and measurements that yielded nothing, each reason once. */
export function troubleLines(results: Results): readonly string[] {
  const title = new Map(results.contestants.map((entry) => [entry.name, entry.title]));
  // What is no tunnel has nothing to recover.
  const bare = new Set(
    results.contestants.filter(({ kind }) => kind === 'bare').map(({ name }) => name),
  );
  const lines = [
    ...results.failures.map(
      ({ contestant, scene, round, reason }) =>
        `${title.get(contestant) ?? contestant}, ${scene}, round ${round}: ${reason}`,
    ),
    ...results.samples.flatMap(({ contestant, scene, missing }) =>
      Object.entries(missing)
        .filter(([measure]) => measure !== 'recover' || !bare.has(contestant))
        .map(
          ([measure, why]) =>
            `${title.get(contestant) ?? contestant}, ${scene}: no ${measure}: ${why}`,
        ),
    ),
  ];
  return [...new Set(lines)];
}

/** Where each one's time went, greatest first. */
export function profileTables(results: Results): readonly Table[] {
  const profiled = results.samples.filter(({ profile }) => profile !== undefined);
  if (profiled.length === 0) return [];
  const title = new Map(results.contestants.map((entry) => [entry.name, entry.title]));
  const rows = profiled.map(({ contestant, profile = [] }) => [
    title.get(contestant) ?? contestant,
    profile
      .slice(0, PROFILE_WORDS)
      .map(({ share, symbol }) => `${symbol} ${share.toFixed(1)}\u202f%`)
      .join(', '),
  ]);
  const columns = ['', 'share of all samples, by function'];
  return [{ title: `Where the time goes: ${PROFILE.title}`, columns, rows, notes: [] }];
}

/** Functions that a profile names. */
const PROFILE_WORDS = 8;

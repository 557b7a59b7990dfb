import { contestantsOf, hasMeasure, spreadOf, valuesOf } from './analysis.ts';
import { PEERS, SIZES } from './measures.ts';
import type { Entry, Results } from './results.ts';
import { median, type Spread } from './statistics.ts';

/* What charts show, apart from how they look. */

/** How a contestant is coloured: by what it is. */
export type Role = 'bare' | 'ipipou' | 'plain' | 'encrypted';

export type Bar = { readonly label: string; readonly role: Role; readonly spread: Spread };

/** Bars side by side in panels that share their rows. */
export type BarChart = {
  readonly kind: 'bars';
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  readonly panels: readonly { readonly title: string; readonly bars: readonly Bar[] }[];
};

/** Two values a row, idle and under load. */
export type PairChart = {
  readonly kind: 'pairs';
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly series: readonly [string, string];
  readonly rows: readonly {
    readonly label: string;
    readonly role: Role;
    readonly values: readonly [number, number | undefined];
  }[];
};

export type LineChart = {
  readonly kind: 'lines';
  readonly name: string;
  readonly title: string;
  readonly panels: readonly {
    readonly title: string;
    readonly axis: string;
    readonly unit: string;
    readonly xs: readonly number[];
    readonly lines: readonly {
      readonly label: string;
      readonly role: Role;
      readonly ys: readonly (number | undefined)[];
    }[];
  }[];
};

export type Chart = BarChart | PairChart | LineChart;

const KILO = 1000;
/** More lines than these nobody can tell apart; the tables have all. */
const DRAWN = /^(bare|ipipou-.*|recipe-fou|vxlan|fastd-l2tp|openvpn|wireguard.*|ssh)$/;

/** Every chart that the run has figures for. */
export function chartsOf(results: Results): readonly Chart[] {
  const where = results.facts.place === 'guest' ? 'emulated' : 'this kernel';
  const place = `Linux ${results.facts.kernel.split('-')[0] ?? ''}, ${where}`;
  const charts: Chart[] = [
    bandwidth(results, place),
    efficiency(results, place),
    latency(results, place),
    sizes(results, place),
    peers(results, place),
  ];
  return charts.filter((chart) =>
    chart.kind === 'pairs'
      ? chart.rows.length > 0
      : chart.panels.some((panel) => ('bars' in panel ? panel.bars : panel.lines).length > 0),
  );
}

export function roleOf({ name, kind }: Entry): Role {
  if (kind === 'bare') return 'bare';
  if (name.startsWith('ipipou')) return 'ipipou';
  return kind;
}

const PANELS = [
  { scene: 'super', title: 'GSO super-packets' },
  { scene: 'frames', title: 'MTU-sized frames' },
] as const;

function bandwidth(results: Results, place: string): BarChart {
  const panels = PANELS.map(({ scene, title }) => ({
    title,
    bars: bars(results, scene, 'tcpUp', KILO),
  }));
  const title = `Bandwidth of one TCP stream, client to server (${place})`;
  return {
    ...{ kind: 'bars', name: 'bandwidth', title, unit: 'Gbit/s', digits: 2 },
    panels: panels.filter((panel) => panel.bars.length > 0),
  };
}

function efficiency(results: Results, place: string): BarChart {
  const panels = PANELS.map(({ scene, title }) => ({
    title,
    bars: bars(results, scene, 'tcpUpEfficiency', 1),
  }));
  const title = `Mbit/s for each per cent of a processor (${place})`;
  return {
    ...{ kind: 'bars', name: 'efficiency', title, unit: 'Mbit/s per CPU-%', digits: 1 },
    panels: panels.filter((panel) => panel.bars.length > 0),
  };
}

/** In the order of the table of contestants. */
function bars(results: Results, scene: string, measure: string, scale: number): readonly Bar[] {
  return contestantsOf(results, scene)
    .filter(({ name }) => name !== 'bare-again')
    .flatMap((entry) => {
      const found = spreadOf(results, scene, entry.name, measure);
      if (found === undefined) return [];
      const { count } = found;
      const [middle, low, high] = [found.median, found.low, found.high].map((v) => v / scale);
      const spread = { median: middle ?? 0, low: low ?? 0, high: high ?? 0, count };
      return [{ label: entry.title, role: roleOf(entry), spread }];
    });
}

function latency(results: Results, place: string): PairChart {
  const rows = contestantsOf(results, 'super')
    .filter(({ name }) => name !== 'bare-again')
    .flatMap((entry) => {
      const idle = middle(results, 'super', entry.name, 'pingAvg');
      const load = middle(results, 'super', entry.name, 'loadAvg');
      return idle === undefined
        ? []
        : [{ label: entry.title, role: roleOf(entry), values: [idle, load] as const }];
    });
  return {
    ...{ kind: 'pairs', name: 'latency', rows },
    title: `Mean round trip of ping (${place})`,
    unit: 'milliseconds, logarithmic',
    series: ['idle', 'while four TCP streams go up'],
  };
}

function sizes(results: Results, place: string): LineChart {
  const panel = (title: string, unit: string, suffix: string, scale: number) => ({
    ...{ title, unit, axis: 'bytes of UDP payload', xs: SIZES },
    lines: lines(
      results,
      'sizes',
      SIZES.map((size) => `udp${size}${suffix}`),
      scale,
    ),
  });
  return {
    ...{ kind: 'lines', name: 'sizes', title: `UDP at saturation, by packet size (${place})` },
    panels: [
      panel('packets that arrive', 'thousands a second', 'Pps', KILO),
      panel('CPU time that one costs', 'µs', 'Cost', 1),
    ],
  };
}

function peers(results: Results, place: string): LineChart {
  const panel = (title: string, unit: string, suffix: string, scale: number) => ({
    ...{ title, unit, axis: 'clients that send at one time', xs: PEERS },
    lines: lines(
      results,
      'peers',
      PEERS.map((count) => `peers${count}${suffix}`),
      scale,
    ),
  });
  return {
    ...{ kind: 'lines', name: 'peers', title: `One server, many clients (${place})` },
    panels: [
      panel('TCP of all clients together', 'Gbit/s', '', KILO),
      panel('efficiency', 'Mbit/s per CPU-%', 'Efficiency', 1),
    ],
  };
}

function lines(
  results: Results,
  scene: string,
  measures: readonly string[],
  scale: number,
): LineChart['panels'][number]['lines'] {
  if (!measures.some((measure) => hasMeasure(results, scene, measure))) return [];
  return contestantsOf(results, scene)
    .filter(({ name }) => DRAWN.test(name))
    .map((entry) => ({
      ...{ label: entry.title, role: roleOf(entry) },
      ys: measures.map((measure) => {
        const found = middle(results, scene, entry.name, measure);
        return found === undefined ? undefined : found / scale;
      }),
    }));
}

function middle(
  results: Results,
  scene: string,
  contestant: string,
  measure: string,
): number | undefined {
  const values = valuesOf(results, scene, contestant, measure);
  return values.length === 0 ? undefined : median(values);
}

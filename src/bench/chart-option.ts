import type { EChartsOption } from 'echarts';
import type { Bar, BarChart, Chart, LineChart, PairChart, Role } from './chart-input.ts';
import type { Scheme } from './colours.ts';
import { formatNumber } from './table.ts';

/* Charts in the plotting library's words. Sizes are pixels. */

/** What a README's column shows without scaling. */
export const WIDTH = 860;
/** Without quotes: the library puts it into attributes as it is. */
const FONT = 'system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif';
const ROW = 24;
/** Room above the rows (title, legend, panel titles) and below (axis and its name). */
const ABOVE = 92;
const BELOW = 56;
/** Room for the names of contestants. */
const LABELS = 172;
const GAP = 64;
const LINES_HEIGHT = 300;
const LEGEND_ROW = 22;
/** Entries of a legend that fit one row. */
const LEGEND_COLUMNS = 4;

const ROLE_NAMES: Readonly<Record<Role, string>> = {
  bare: 'no tunnel',
  ipipou: 'ipipou',
  plain: 'not encrypted',
  encrypted: 'encrypted',
};

export function chartHeight(chart: Chart): number {
  if (chart.kind === 'bars') return ABOVE + BELOW + ROW * rowLabels(chart).length;
  if (chart.kind === 'pairs') return ABOVE + BELOW + ROW * chart.rows.length;
  return ABOVE + LINES_HEIGHT + BELOW + legendRows(chart) * LEGEND_ROW;
}

export function chartOption(chart: Chart, scheme: Scheme): EChartsOption {
  const common: EChartsOption = {
    animation: false,
    backgroundColor: scheme.ground,
    textStyle: { fontFamily: FONT, color: scheme.text },
  };
  if (chart.kind === 'bars') return { ...common, ...barOption(chart, scheme) };
  if (chart.kind === 'pairs') return { ...common, ...pairOption(chart, scheme) };
  return { ...common, ...lineOption(chart, scheme) };
}

function heading(text: string, scheme: Scheme) {
  const textStyle = { color: scheme.text, fontSize: 16, fontWeight: 600 } as const;
  return { text, left: 12, top: 10, textStyle };
}

function panelTitle(text: string, left: number, scheme: Scheme) {
  const textStyle = { color: scheme.quiet, fontSize: 13, fontWeight: 600 } as const;
  return { text, left, top: ABOVE - 30, padding: 0, textStyle };
}

/** A value axis at the bottom, named below its middle. */
function valueAxis(name: string, scheme: Scheme) {
  return {
    name,
    nameLocation: 'middle',
    nameGap: 30,
    nameTextStyle: { color: scheme.quiet, fontSize: 12 },
    axisLabel: { color: scheme.quiet, fontSize: 12, hideOverlap: true },
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: scheme.grid } },
  } as const;
}

function rowLabels({ panels }: BarChart): readonly string[] {
  return [...new Set(panels.flatMap(({ bars }) => bars.map(({ label }) => label)))];
}

function barOption(chart: BarChart, scheme: Scheme): EChartsOption {
  const { panels, unit, digits } = chart;
  const labels = rowLabels(chart);
  const width = (WIDTH - LABELS - GAP * panels.length) / panels.length;
  const left = (at: number): number => LABELS + at * (width + GAP);
  const legend = roleLegend(
    panels.flatMap(({ bars }) => bars.map(({ role }) => role)),
    scheme,
  );
  return {
    title: [
      heading(chart.title, scheme),
      ...panels.map(({ title }, at) => panelTitle(title, left(at), scheme)),
    ],
    legend,
    grid: panels.map((_, at) => ({ left: left(at), width, top: ABOVE, bottom: BELOW })),
    xAxis: panels.map((_, at) => ({
      ...{ type: 'value', gridIndex: at, min: 0, splitNumber: 4 },
      ...valueAxis(unit, scheme),
    })),
    yAxis: panels.map((_, at) => rowAxis(labels, at, at === 0, scheme)),
    series: [
      ...panels.flatMap(({ bars }, at) => barSeries(bars, labels, at, scheme)),
      ...panels.map(({ bars }, at) => barEnds(bars, labels, at, digits, scheme)),
    ],
  };
}

function rowAxis(labels: readonly string[], at: number, named: boolean, scheme: Scheme) {
  const data = [...labels];
  return {
    type: 'category',
    inverse: true,
    data,
    gridIndex: at,
    axisLabel: { show: named, color: scheme.text, fontSize: 12, interval: 0 },
    axisLine: { show: true, lineStyle: { color: scheme.grid } },
    axisTick: { show: false },
  } as const;
}

/** The roles that occur, as coloured squares at the top right. */
function roleLegend(roles: readonly Role[], scheme: Scheme) {
  const present = (Object.keys(ROLE_NAMES) as readonly Role[]).filter((role) =>
    roles.includes(role),
  );
  return {
    ...{ right: 12, top: 36, itemWidth: 12, itemHeight: 12, itemGap: 16 },
    textStyle: { color: scheme.quiet, fontSize: 12 },
    data: present.map((role) => ({ name: ROLE_NAMES[role], icon: 'rect' })),
  };
}

/** One series a role, so that the legend knows it; stacked, so that rows keep their full height. */
function barSeries(bars: readonly Bar[], labels: readonly string[], panel: number, scheme: Scheme) {
  const roles = Object.keys(ROLE_NAMES) as readonly Role[];
  return roles.map((role) => ({
    ...{ type: 'bar', name: ROLE_NAMES[role], stack: `panel ${panel}`, barWidth: '62%' },
    ...{ xAxisIndex: panel, yAxisIndex: panel, itemStyle: { color: scheme.roles[role] } },
    data: labels.map((label) => {
      const bar = bars.find((each) => each.label === label && each.role === role);
      return bar === undefined ? '-' : bar.spread.median;
    }),
  })) as NonNullable<EChartsOption['series']> & readonly object[];
}

/** The figure behind a bar, and a whisker from the lower to the upper quartile over its end. */
function barEnds(
  bars: readonly Bar[],
  labels: readonly string[],
  panel: number,
  digits: number,
  scheme: Scheme,
): object {
  const data = bars.map(({ label, spread }) => [
    ...[spread.low, labels.indexOf(label), spread.high, spread.median],
  ]);
  const CAP = 4;
  const AWAY = 6;
  return {
    ...{ type: 'custom', xAxisIndex: panel, yAxisIndex: panel, silent: true, z: 5, data },
    encode: { x: [0, 2, 3], y: 1 },
    renderItem(_: unknown, api: RenderApi) {
      const at = (dimension: number) => api.coord([api.value(dimension), api.value(1)]);
      const [[from = 0, y = 0], [to = 0], [end = 0]] = [at(0), at(2), at(3)];
      const line = (x1: number, y1: number, x2: number, y2: number) => ({
        ...{ type: 'line', shape: { x1, y1, x2, y2 } },
        style: { stroke: scheme.text, lineWidth: 1.2, opacity: 0.75 },
      });
      const caps = [from, to].map((x) => line(x, y - CAP, x, y + CAP));
      const LEAST = 2;
      const whisker = to - from < LEAST ? [] : [line(from, y, to, y), ...caps];
      const median = api.value(3);
      const text = figureText(median, digits);
      const look = { fill: scheme.text, font: `11.5px ${FONT}`, verticalAlign: 'middle' };
      const figure = { type: 'text', style: { ...look, text, x: Math.max(end, to) + AWAY, y } };
      return { type: 'group', children: [...whisker, figure] };
    },
  };
}

/** Two digits that count for what is small, none behind the point for what is great. */
function figureText(value: number, digits: number): string {
  if (value > 0 && value < 1) return value.toPrecision(2);
  return formatNumber(value, value >= 100 ? 0 : digits);
}

/** What `renderItem` of a custom series is handed. */
type RenderApi = {
  readonly value: (dimension: number) => number;
  readonly coord: (point: readonly number[]) => readonly number[];
};

function pairOption(chart: PairChart, scheme: Scheme): EChartsOption {
  const { rows, unit, series } = chart;
  const labels = rows.map(({ label }) => label);
  const dots = (at: 0 | 1) => ({
    ...{ type: 'scatter', name: series[at], symbolSize: 11, z: 3 },
    symbol: at === 0 ? 'circle' : 'diamond',
    itemStyle: { color: at === 0 ? scheme.roles.ipipou : scheme.roles.encrypted },
    data: rows.flatMap(({ label, values }) => {
      const value = values[at];
      return value === undefined ? [] : [[value, label]];
    }),
  });
  const all = rows.flatMap(({ values }) => values.filter((value) => value !== undefined));
  return {
    title: [heading(chart.title, scheme)],
    legend: {
      ...{ left: LABELS, top: 44, itemGap: 20, itemWidth: 12, itemHeight: 12 },
      textStyle: { color: scheme.quiet, fontSize: 12 },
      data: [...series],
    },
    grid: { left: LABELS, right: 40, top: ABOVE - 12, bottom: BELOW },
    xAxis: {
      ...{ type: 'log', min: decade(Math.min(...all), 'floor') },
      ...{ max: decade(Math.max(...all), 'ceil'), ...valueAxis(unit, scheme) },
    },
    yAxis: rowAxis(labels, 0, true, scheme),
    series: [connections(rows, labels, scheme), dots(0), dots(1)] as NonNullable<
      EChartsOption['series']
    >,
  };
}

function decade(value: number, way: 'floor' | 'ceil'): number {
  return 10 ** Math[way](Math.log10(value));
}

/** A thin line from the one dot of a row to the other. */
function connections(rows: PairChart['rows'], labels: readonly string[], scheme: Scheme): object {
  return {
    ...{ type: 'custom', silent: true, z: 1, encode: { x: [0, 2], y: 1 } },
    data: rows.flatMap(({ label, values: [a, b] }) =>
      b === undefined ? [] : [[a, labels.indexOf(label), b]],
    ),
    renderItem(_: unknown, api: RenderApi) {
      const [x1 = 0, y1 = 0] = api.coord([api.value(0), api.value(1)]);
      const [x2 = 0, y2 = 0] = api.coord([api.value(2), api.value(1)]);
      const style = { stroke: scheme.quiet, lineWidth: 1.5 };
      return { type: 'line', shape: { x1, y1, x2, y2 }, style };
    },
  };
}

function legendRows({ panels }: LineChart): number {
  return Math.ceil((panels[0]?.lines.length ?? 0) / LEGEND_COLUMNS);
}

function lineOption(chart: LineChart, scheme: Scheme): EChartsOption {
  const { panels } = chart;
  const width = (WIDTH - 64 - 24 - GAP * (panels.length - 1)) / panels.length;
  const left = (at: number): number => 64 + at * (width + GAP);
  const colours = lineColours(panels[0]?.lines ?? [], scheme);
  return {
    title: [
      heading(chart.title, scheme),
      ...panels.map(({ title, unit }, at) => panelTitle(`${title}, ${unit}`, left(at), scheme)),
    ],
    legend: {
      ...{ left: 40, right: 24, top: ABOVE + LINES_HEIGHT + BELOW - 4, itemGap: 28 },
      ...{ itemWidth: 22, textStyle: { color: scheme.text, fontSize: 12 } },
      data: (panels[0]?.lines ?? []).map(({ label }) => label),
    },
    grid: panels.map((_, at) => ({ left: left(at), width, top: ABOVE, height: LINES_HEIGHT })),
    xAxis: panels.map(({ axis, xs }, at) => ({
      ...{ type: 'category', gridIndex: at, data: xs.map(String), boundaryGap: false },
      ...valueAxis(axis, scheme),
      axisLine: { show: true, lineStyle: { color: scheme.grid } },
    })),
    yAxis: panels.map((panel, at) => ({
      ...{ type: 'log', gridIndex: at, min: lowest(panel.lines), axisLine: { show: false } },
      axisLabel: { color: scheme.quiet, fontSize: 12 },
      splitLine: { lineStyle: { color: scheme.grid } },
    })),
    series: panels.flatMap(({ lines }, at) =>
      lines.map(({ label, role, ys }) => ({
        ...{ type: 'line', name: label, xAxisIndex: at, yAxisIndex: at },
        ...{ symbol: SYMBOLS[role], symbolSize: 7, color: colours.get(label) ?? scheme.text },
        lineStyle: {
          width: role === 'ipipou' ? 3 : 1.6,
          type: role === 'bare' ? 'dashed' : 'solid',
        },
        data: ys.map((y) => y ?? '-'),
      })),
    ),
  };
}

/** Roles differ by their marks too, for eyes that tell colours badly. */
const SYMBOLS: Readonly<Record<Role, string>> = {
  bare: 'circle',
  ipipou: 'circle',
  plain: 'rect',
  encrypted: 'triangle',
};

function lowest(lines: LineChart['panels'][number]['lines']): number {
  const all = lines.flatMap(({ ys }) => ys.filter((y) => y !== undefined && y > 0)) as number[];
  return decade(Math.min(...all), 'floor');
}

function lineColours(
  lines: LineChart['panels'][number]['lines'],
  scheme: Scheme,
): ReadonlyMap<string, string> {
  const used: Record<Role, number> = { bare: 0, ipipou: 0, plain: 0, encrypted: 0 };
  return new Map(
    lines.map(({ label, role }) => {
      const shades = scheme.shades[role];
      return [label, shades[used[role]++ % shades.length] ?? scheme.text];
    }),
  );
}

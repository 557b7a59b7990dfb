import type { EChartsOption } from 'echarts';
import type { LineChart, Role } from './chart-input.ts';
import {
  ABOVE,
  BELOW,
  GAP,
  heading,
  logarithmic,
  panelTitle,
  valueAxis,
  WIDTH,
} from './chart-frame.ts';
import type { Scheme } from './colours.ts';

const HEIGHT = 300;
/** Between entries of a legend, sideways and downwards. */
const LEGEND_GAP = 28;
const LEGEND_ROW = LEGEND_GAP + 14;
/** Entries of a legend that fit one row. */
const LEGEND_COLUMNS = 4;

export function lineHeight(chart: LineChart): number {
  return ABOVE + HEIGHT + BELOW + legendRows(chart) * LEGEND_ROW;
}

function legendRows({ panels }: LineChart): number {
  return Math.ceil((panels[0]?.lines.length ?? 0) / LEGEND_COLUMNS);
}

export function lineOption(chart: LineChart, scheme: Scheme): EChartsOption {
  const { panels } = chart;
  const width = (WIDTH - 64 - 24 - GAP * (panels.length - 1)) / panels.length;
  const left = (at: number): number => 64 + at * (width + GAP);
  const colours = lineColours(panels[0]?.lines ?? [], scheme);
  return {
    title: [
      heading(`${chart.title}, logarithmic`, scheme),
      ...panels.map(({ title, unit }, at) => panelTitle(`${title}, ${unit}`, left(at), scheme)),
    ],
    legend: {
      ...{ left: 40, right: 24, top: ABOVE + HEIGHT + BELOW - 4, itemGap: LEGEND_GAP },
      ...{ itemWidth: 22, textStyle: { color: scheme.text, fontSize: 12 } },
      data: (panels[0]?.lines ?? []).map(({ label }) => label),
    },
    grid: panels.map((_, at) => ({ left: left(at), width, top: ABOVE, height: HEIGHT })),
    xAxis: panels.map(({ axis, xs }, at) => ({
      ...{ type: 'category', gridIndex: at, data: xs.map(String), boundaryGap: false },
      ...valueAxis(axis, scheme),
      axisLine: { show: true, lineStyle: { color: scheme.grid } },
    })),
    yAxis: panels.map(({ lines }, at) => ({
      ...{ gridIndex: at, axisLine: { show: false } },
      splitLine: { lineStyle: { color: scheme.grid } },
      ...logarithmic(figuresOf(lines), scheme),
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

function figuresOf(lines: LineChart['panels'][number]['lines']): readonly number[] {
  return lines.flatMap(({ ys }) => ys.filter((y) => y !== undefined && y > 0)) as number[];
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

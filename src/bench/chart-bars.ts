import type { EChartsOption } from 'echarts';
import type { Bar, BarChart, Role } from './chart-input.ts';
import {
  ABOVE,
  BELOW,
  figureText,
  FONT,
  GAP,
  heading,
  LABELS,
  panelTitle,
  ROLE_NAMES,
  roleLegend,
  rowAxis,
  valueAxis,
  WIDTH,
  type RenderApi,
} from './chart-frame.ts';
import type { Scheme } from './colours.ts';

export function rowLabels({ panels }: BarChart): readonly string[] {
  return [...new Set(panels.flatMap(({ bars }) => bars.map(({ label }) => label)))];
}

export function barOption(chart: BarChart, scheme: Scheme): EChartsOption {
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

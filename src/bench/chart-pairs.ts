import type { EChartsOption } from 'echarts';
import type { PairChart, Role } from './chart-input.ts';
import {
  ABOVE,
  BELOW,
  figureText,
  heading,
  LABELS,
  logarithmic,
  ROLE_NAMES,
  roleLegend,
  rowAxis,
  valueAxis,
  type RenderApi,
} from './chart-frame.ts';
import type { Scheme } from './colours.ts';

export function pairOption(chart: PairChart, scheme: Scheme): EChartsOption {
  const { rows, unit, series } = chart;
  const labels = rows.map(({ label }) => label);
  const dots = (at: 0 | 1) => ({
    ...{ type: 'scatter', name: series[at], symbolSize: 11, z: 3 },
    symbol: at === 0 ? 'circle' : 'diamond',
    // The legend's: a dot has the colour of what its contestant is.
    itemStyle: { color: scheme.quiet },
    label: { show: true, color: scheme.text, fontSize: 11.5 },
    data: rows.flatMap(({ label, role, values }) => {
      const value = values[at];
      if (value === undefined) return [];
      const [first, second = first] = values;
      const outwards = second < first === (at === 0) ? 'right' : 'left';
      const figure = { position: outwards, formatter: figureText(value, 1) };
      const itemStyle = { color: scheme.roles[role] };
      return [{ value: [value, label], itemStyle, label: figure }];
    }),
  });
  const all = rows.flatMap(({ values }) => values.filter((value) => value !== undefined));
  // Figures stand beside the outermost dots.
  const room = [Math.min(...all) / FIGURE_ROOM, Math.max(...all) * FIGURE_ROOM];
  const legend = {
    textStyle: { color: scheme.quiet, fontSize: 12 },
    itemWidth: 12,
    itemHeight: 12,
  };
  return {
    title: [heading(chart.title, scheme)],
    legend: [
      { ...legend, left: LABELS, top: 44, itemGap: 20, data: [...series] },
      roleLegend(
        rows.map(({ role }) => role),
        scheme,
      ),
    ],
    grid: { left: LABELS, right: 40, top: ABOVE - 12, bottom: BELOW },
    xAxis: { ...valueAxis(unit, scheme), ...logarithmic(room, scheme) },
    yAxis: rowAxis(labels, 0, true, scheme),
    series: [
      ...[connections(rows, labels, scheme), dots(0), dots(1)],
      ...roleNames(scheme),
    ] as NonNullable<EChartsOption['series']>,
  };
}

/** By what factor an axis goes on beyond the outermost dots. */
const FIGURE_ROOM = 1.5;

/** Series without data: the legend shows only names that a series has. */
function roleNames(scheme: Scheme): readonly object[] {
  return (Object.keys(ROLE_NAMES) as readonly Role[]).map((role) => ({
    ...{ type: 'bar', name: ROLE_NAMES[role], data: [] },
    itemStyle: { color: scheme.roles[role] },
  }));
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

import type { EChartsOption } from 'echarts';
import { barOption, rowLabels } from './chart-bars.ts';
import { ABOVE, BELOW, FONT } from './chart-frame.ts';
import type { Chart } from './chart-input.ts';
import { lineHeight, lineOption } from './chart-lines.ts';
import { pairOption } from './chart-pairs.ts';
import type { Scheme } from './colours.ts';

/* Charts in the plotting library's words. Sizes are pixels. */

const ROW = 24;

export function chartHeight(chart: Chart): number {
  if (chart.kind === 'bars') return ABOVE + BELOW + ROW * rowLabels(chart).length;
  if (chart.kind === 'pairs') return ABOVE + BELOW + ROW * chart.rows.length;
  return lineHeight(chart);
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

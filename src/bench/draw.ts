import type * as ECharts from 'echarts';
import { IpipouError } from '../core/errors.ts';
import { chartsOf, type Chart } from './chart-input.ts';
import { chartHeight, chartOption } from './chart-option.ts';
import { WIDTH } from './chart-frame.ts';
import { SCHEMES } from './colours.ts';
import type { Results } from './results.ts';

export type Drawing = {
  /** "bandwidth-light". */
  readonly name: string;
  readonly svg: string;
};

/** Every chart of a run in both colour schemes, as SVG; no browser is involved. */
export async function drawCharts(results: Results): Promise<readonly Drawing[]> {
  const { init } = await loadLibrary();
  const draw = (chart: Chart, option: ECharts.EChartsOption): string => {
    const size = { width: WIDTH, height: chartHeight(chart) };
    const instance = init(null, null, { renderer: 'svg', ssr: true, ...size });
    try {
      instance.setOption(option);
      return `${withoutInteraction(instance.renderToSVGString())}\n`;
    } finally {
      instance.dispose();
    }
  };
  return chartsOf(results).flatMap((chart) =>
    SCHEMES.map((scheme) => ({
      name: `${chart.name}-${scheme.name}`,
      svg: draw(chart, chartOption(chart, scheme)),
    })),
  );
}

/** A picture answers no mouse: marks and styles for that only make it longer. */
function withoutInteraction(svg: string): string {
  return (
    svg
      .replaceAll(/ (?:ecmeta_[a-z_]+|class|pointer-events)="[^"]*"/g, '')
      // Names that count up from picture to picture would make every run's file another.
      .replaceAll(/zr[0-9]+-/g, '')
      // Not every renderer knows this baseline.
      .replaceAll('dominant-baseline="central"', 'dy="0.35em"')
      .replaceAll(/<style[^]*?<\/style>\n?/g, '')
  );
}

/** The library in one file: five times as fast to load as its hundreds of modules. */
const BUNDLE: string = 'echarts/dist/echarts.esm.min.mjs';

/** The library is a development dependency: nothing but charts needs it. */
async function loadLibrary(): Promise<typeof ECharts> {
  try {
    // The bundle has no types of its own; it is the same library.
    return (await import(BUNDLE)) as typeof ECharts;
  } catch (error) {
    throw new IpipouError('generic', 'bench: charts need the library echarts', {
      hint: 'npm ci in a clone of the project, or npm install echarts',
      cause: error,
    });
  }
}

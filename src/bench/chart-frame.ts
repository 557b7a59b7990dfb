import type { Role } from './chart-input.ts';
import type { Scheme } from './colours.ts';
import { formatNumber } from './table.ts';

/* What charts have in common, in the plotting library's words. Sizes are pixels. */

/** What a README's column shows without scaling. */
export const WIDTH = 860;
/** Without quotes: the library puts it into attributes as it is. */
export const FONT = 'system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif';
/** Room above the rows (title, legend, panel titles) and below (axis and its name). */
export const ABOVE = 92;
export const BELOW = 56;
/** Room for the names of contestants. */
export const LABELS = 172;
export const GAP = 64;

export const ROLE_NAMES: Readonly<Record<Role, string>> = {
  bare: 'no tunnel',
  ipipou: 'ipipou',
  plain: 'not encrypted',
  encrypted: 'encrypted',
};

export function heading(text: string, scheme: Scheme) {
  const textStyle = { color: scheme.text, fontSize: 16, fontWeight: 600 } as const;
  return { text, left: 12, top: 10, textStyle };
}

export function panelTitle(text: string, left: number, scheme: Scheme) {
  const textStyle = { color: scheme.quiet, fontSize: 13, fontWeight: 600 } as const;
  return { text, left, top: ABOVE - 30, padding: 0, textStyle };
}

/** A value axis at the bottom, named below its middle. */
export function valueAxis(name: string, scheme: Scheme) {
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

/** What an axis by powers of ten has besides: lines at 2, 3, …, 9 of each, and plain figures. */
export function logarithmic(values: readonly number[], scheme: Scheme) {
  return {
    type: 'log',
    min: decade(Math.min(...values), 'floor'),
    max: decade(Math.max(...values), 'ceil'),
    minorTick: { show: false, splitNumber: 9 },
    minorSplitLine: { show: true, lineStyle: { color: scheme.grid, opacity: 0.45 } },
    axisLabel: { color: scheme.quiet, fontSize: 12, formatter: plainFigure },
  } as const;
}

function plainFigure(value: number): string {
  return value < 1 ? String(value) : formatNumber(value, 0);
}

function decade(value: number, way: 'floor' | 'ceil'): number {
  return 10 ** Math[way](Math.log10(value));
}

export function rowAxis(labels: readonly string[], at: number, named: boolean, scheme: Scheme) {
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
export function roleLegend(roles: readonly Role[], scheme: Scheme) {
  const present = (Object.keys(ROLE_NAMES) as readonly Role[]).filter((role) =>
    roles.includes(role),
  );
  return {
    ...{ right: 12, top: 36, itemWidth: 12, itemHeight: 12, itemGap: 16 },
    textStyle: { color: scheme.quiet, fontSize: 12 },
    data: present.map((role) => ({ name: ROLE_NAMES[role], icon: 'rect' })),
  };
}

/** Two digits that count for what is small, none behind the point for what is great. */
export function figureText(value: number, digits: number): string {
  if (value > 0 && value < 1) return value.toPrecision(2);
  return formatNumber(value, value >= 100 ? 0 : digits);
}

/** What `renderItem` of a custom series is handed. */
export type RenderApi = {
  readonly value: (dimension: number) => number;
  readonly coord: (point: readonly number[]) => readonly number[];
};

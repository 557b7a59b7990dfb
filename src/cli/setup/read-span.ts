import { wrongValue } from './values.ts';

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
/** Seconds. */
const SPAN_MAX = 90 * 86_400;

/** A span of time as people write it, in seconds. */
export function readSpan(flag: string, text: string): number {
  const [, digits = '', unit = 's'] = /^([1-9][0-9]{0,7})([smhd])?$/.exec(text) ?? [];
  const span = Number(digits) * (UNITS[unit] ?? 1);
  if (span >= 1 && span <= SPAN_MAX) return span;
  throw wrongValue(flag, text, 'a time as in 90s, 30m, 12h or 7d: 90 days at most');
}

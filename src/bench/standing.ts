import { contestantsOf, valuesOf } from './analysis.ts';
import { roleOf } from './chart-input.ts';
import { findMeasure } from './measures.ts';
import type { Results } from './results.ts';
import { median, rankTest } from './statistics.ts';
import { formatNumber } from './table.ts';

/*
 * Where ipipou is behind: its best plane behind another tunnel without encryption, or any plane
 * behind an encrypted one. What the rank test calls a tie is none of that.
 */

export type Behind = {
  readonly scene: string;
  readonly measure: string;
  readonly who: string;
  readonly ahead: string;
  readonly line: string;
};

const WATCHED = ['tcpUp', 'tcpDown', 'tcpUpEfficiency', 'pingAvg', 'start', 'recover'] as const;
/** Differences below this share are no standing. */
const TIE = 0.05;
/** p above which two contestants count as equal; few rounds cannot get below it. */
const TIE_P = 0.2;

type Standing = {
  readonly title: string;
  readonly role: string;
  readonly values: readonly number[];
};

export function behindOf(results: Results): readonly Behind[] {
  return ['super', 'frames'].flatMap((scene) =>
    WATCHED.flatMap((measure) => behindIn(results, scene, measure)),
  );
}

function behindIn(results: Results, scene: string, measure: string): readonly Behind[] {
  const { title = measure, unit = '', better = 'higher', digits = 0 } = findMeasure(measure) ?? {};
  const sign = better === 'higher' ? 1 : -1;
  const standings = contestantsOf(results, scene)
    .map((entry): Standing => ({
      ...{ title: entry.title, role: roleOf(entry) },
      values: valuesOf(results, scene, entry.name, measure),
    }))
    .filter(({ values }) => values.length > 0)
    .toSorted((a, b) => sign * (median(b.values) - median(a.values)));
  const own = standings.filter(({ role }) => role === 'ipipou');
  const [best] = own;
  if (best === undefined) return [];
  const pairs = [
    ...standings.filter(({ role }) => role === 'plain').map((ahead) => [best, ahead] as const),
    ...own.flatMap((who) =>
      standings.filter(({ role }) => role === 'encrypted').map((ahead) => [who, ahead] as const),
    ),
  ];
  const figure = (standing: Standing): string =>
    `${standing.title} ${formatNumber(median(standing.values), digits)}`;
  return pairs
    .filter(([who, ahead]) => leads(ahead.values, who.values, sign))
    .map(([who, ahead]) => ({
      ...{ scene, measure, who: who.title, ahead: ahead.title },
      line: `${title} (${scene}), ${unit}: ${figure(ahead)} is ahead of ${figure(who)}`,
    }));
}

function leads(ahead: readonly number[], behind: readonly number[], sign: number): boolean {
  const [a, b] = [median(ahead), median(behind)];
  const better = sign * (a - b) > 0 && Math.abs(a - b) > TIE * Math.max(a, b);
  const FEW = 3;
  const few = Math.min(ahead.length, behind.length) < FEW;
  return better && (few || rankTest(ahead, behind) <= TIE_P);
}

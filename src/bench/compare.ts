import { contestantsOf, ratiosOf, REFERENCE, valuesOf } from './analysis.ts';
import { MEASURES, type Measure } from './measures.ts';
import type { Results } from './results.ts';
import { leastP, rankTest, shift } from './statistics.ts';

/*
 * What changed from one run to another, told from noise by an exact rank test. Throughput and its
 * cost are compared as ratios to the bare path of the same round, so that another day's machine is
 * no change of a contestant.
 */

/** p up to which a difference counts as a change, and up to which as worth a second look. */
const CHANGE_P = 0.03;
const PERHAPS_P = 0.1;
/** Differences below this share matter to nobody, however sure they are. */
const SMALLEST = 0.03;

export type Verdict = 'better' | 'worse' | 'perhaps better' | 'perhaps worse' | 'noise';

export type Difference = {
  readonly scene: string;
  readonly contestant: string;
  readonly measure: Measure;
  /** By what factor the second run lies above the first. */
  readonly factor: number;
  readonly p: number;
  readonly verdict: Verdict;
};

export type Comparison = {
  readonly differences: readonly Difference[];
  /** Pairs of too few values to ever tell a change: it takes four a side. */
  readonly undecidable: number;
};

export function compareResults(before: Results, after: Results): Comparison {
  const pairs = before.options.scenes
    .filter((scene) => after.options.scenes.includes(scene))
    .flatMap((scene) =>
      contestantsOf(before, scene).flatMap(({ name }) =>
        MEASURES.map((measure) => ({ scene, contestant: name, measure })),
      ),
    );
  const differences: Difference[] = [];
  let undecidable = 0;
  for (const { scene, contestant, measure } of pairs) {
    const [a, b] = [before, after].map((run) => figures(run, scene, contestant, measure));
    if (a === undefined || b === undefined || a.length === 0 || b.length === 0) continue;
    if (leastP(a.length, b.length) > CHANGE_P) undecidable += 1;
    const [p, factor] = [rankTest(a, b), shift(a, b)];
    const verdict = judge(p, factor, measure);
    differences.push({ scene, contestant, measure, factor, p, verdict });
  }
  return { differences, undecidable };
}

/** The bare path has no ratio to itself: of it the figures are compared as they are. */
function figures(
  run: Results,
  scene: string,
  contestant: string,
  { id, relative }: Measure,
): readonly number[] {
  const direct = !relative || contestant === REFERENCE;
  return direct ? valuesOf(run, scene, contestant, id) : ratiosOf(run, scene, contestant, id);
}

function judge(p: number, factor: number, { better }: Measure): Verdict {
  if (p > PERHAPS_P || !(Math.abs(factor - 1) >= SMALLEST)) return 'noise';
  const way = factor > 1 === (better === 'higher') ? 'better' : 'worse';
  return p <= CHANGE_P ? way : `perhaps ${way}`;
}

/** Plain words: what changed, what perhaps did, and how far to trust it. */
export function formatComparison({ differences, undecidable }: Comparison): string {
  const told = differences
    .filter(({ verdict }) => verdict !== 'noise')
    .toSorted((a, b) => a.p - b.p || Math.abs(Math.log(b.factor)) - Math.abs(Math.log(a.factor)));
  const lines = told.map(({ scene, contestant, measure, factor, p, verdict }) => {
    const percent = `${factor > 1 ? '+' : ''}${((factor - 1) * 100).toFixed(1)} %`;
    const what = `${contestant}, ${scene}: ${measure.title}`;
    return `${verdict.padEnd(14)} ${percent.padStart(9)}  ${what} (p = ${p.toFixed(4)})`;
  });
  const count = differences.length;
  return [
    ...(lines.length === 0 ? ['No change that stands out from the noise.'] : lines),
    '',
    `${count} figures compared by the exact Mann–Whitney rank test, throughput relative to the bare`,
    `path of the same round; a change has p ≤ ${CHANGE_P} and at least ${SMALLEST * 100} %. Where nothing`,
    `changed at all, about ${(count * CHANGE_P).toFixed(1)} would look like a change by chance, and ` +
      `${(count * PERHAPS_P).toFixed(0)} like a perhaps.`,
    ...(undecidable === 0
      ? []
      : [
          `${undecidable} of them have too few rounds to be told from noise: it takes ` +
            'four on both sides.',
        ]),
    '',
  ].join('\n');
}

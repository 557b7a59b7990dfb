import { findMeasure } from './measures.ts';
import type { Entry, Results, Sample } from './results.ts';
import { spread, type Spread } from './statistics.ts';

/* Figures of a run, by scene, contestant and measure. */

/** The contestant that the others are measured by. */
export const REFERENCE = 'bare';

/** Values in the order of their rounds. */
export function valuesOf(
  results: Results,
  scene: string,
  contestant: string,
  measure: string,
): readonly number[] {
  return samplesOf(results, scene, contestant).flatMap(({ values }) => present(values[measure]));
}

export function spreadOf(
  results: Results,
  scene: string,
  contestant: string,
  measure: string,
): Spread | undefined {
  return spread(valuesOf(results, scene, contestant, measure));
}

/** Each value divided by the bare path's of the same round: a busy machine harms both alike. */
export function ratiosOf(
  results: Results,
  scene: string,
  contestant: string,
  measure: string,
): readonly number[] {
  if (findMeasure(measure)?.relative !== true) return [];
  const references = new Map(
    samplesOf(results, scene, REFERENCE).map(({ round, values }) => [round, values[measure]]),
  );
  return samplesOf(results, scene, contestant).flatMap(({ round, values }) => {
    const [own, reference] = [values[measure], references.get(round)];
    return own === undefined || reference === undefined || reference === 0 ? [] : [own / reference];
  });
}

/** Who had turns in a scene, in the order of the table of contestants. */
export function contestantsOf(results: Results, scene: string): readonly Entry[] {
  const names = new Set(
    results.samples.filter((each) => each.scene === scene).map(({ contestant }) => contestant),
  );
  return results.contestants.filter(({ name }) => names.has(name));
}

/** Whether anybody has a value of a measure in a scene. */
export function hasMeasure(results: Results, scene: string, measure: string): boolean {
  return results.samples.some((each) => each.scene === scene && each.values[measure] !== undefined);
}

/** The first reason why a contestant has no value. */
export function missingReason(
  results: Results,
  scene: string,
  contestant: string,
  measure: string,
): string | undefined {
  return samplesOf(results, scene, contestant).flatMap(({ missing }) =>
    Object.entries(missing).flatMap(([id, why]) => (measure.startsWith(id) ? [why] : [])),
  )[0];
}

function samplesOf(results: Results, scene: string, contestant: string): readonly Sample[] {
  return results.samples
    .filter((each) => each.scene === scene && each.contestant === contestant)
    .toSorted((a, b) => a.round - b.round);
}

function present(value: number | undefined): readonly number[] {
  return value === undefined ? [] : [value];
}

import { describe, expect, it } from 'vitest';
import { ADVERSARIES, check } from './secure-sequences.ts';

/** Sequences with each attacker; SIM_SEQUENCES=10000 takes some ten minutes for each. SIM_FIRST: of which seed on. */
const SEQUENCES = Number(process.env['SIM_SEQUENCES'] ?? 150);
const FIRST = Number(process.env['SIM_FIRST'] ?? 0);

/** Each has broken a rule once. */
it.each([
  [343, 'blocker'],
  [626, 'replayer'],
  [757, 'replayer'],
  [7744, 'relay'],
] as const)('sequence %d with a %s', (seed, name) => {
  expect(check(seed, ADVERSARIES[name])).toBeGreaterThan(0);
});

describe.each(Object.entries(ADVERSARIES))('with a %s', (_name, adversary) => {
  it('random sequences break no promise of session 2, and the tunnel works again', () => {
    let accepted = 0;
    for (let seed = FIRST; seed < FIRST + SEQUENCES; seed++) {
      accepted += check(seed, adversary);
    }
    expect(accepted).toBeGreaterThan(10 * SEQUENCES);
  });
});

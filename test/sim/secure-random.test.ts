import { describe, expect, it } from 'vitest';
import { ADVERSARIES, check } from './secure-sequences.ts';

/** Sequences with each attacker; SIM_SEQUENCES=10000 takes some ten minutes for each. */
const SEQUENCES = Number(process.env['SIM_SEQUENCES'] ?? 150);

describe.each(Object.entries(ADVERSARIES))('with a %s', (_name, adversary) => {
  it('random sequences break no promise of session 2, and the tunnel works again', () => {
    let accepted = 0;
    for (let seed = 0; seed < SEQUENCES; seed++) accepted += check(seed, adversary);
    expect(accepted).toBeGreaterThan(10 * SEQUENCES);
  });
});

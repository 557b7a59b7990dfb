import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_TAG_COUNTER } from '../../../src/core/tag/layout.ts';
import { ReplayWindow, WINDOW_COUNTERS } from '../../../src/core/tag/window.ts';

/** The same without any thought of memory. */
class Model {
  readonly #taken = new Set<number>();
  #newest = 0;

  take(counter: number): boolean {
    if (counter < 1 || counter > MAX_TAG_COUNTER) return false;
    if (counter <= this.#newest - WINDOW_COUNTERS || this.#taken.has(counter)) return false;
    this.#taken.add(counter);
    this.#newest = Math.max(this.#newest, counter);
    return true;
  }
}

/** Steps from the newest counter: mostly near it, at the ends of the window, and far ahead. */
const steps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: -40, max: 40 }) },
    { weight: 3, arbitrary: fc.integer({ min: -WINDOW_COUNTERS - 40, max: 40 }) },
    {
      weight: 2,
      arbitrary: fc.integer({ min: -WINDOW_COUNTERS - 2, max: -WINDOW_COUNTERS + 34 }),
    },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 * WINDOW_COUNTERS }) },
  ),
  { maxLength: 400 },
);
const starts = fc.constantFrom(1, 31, 32, 100_000, 0x7fff_ffff, 0x8000_0000, MAX_TAG_COUNTER - 900);

describe('replay window', () => {
  it('takes what a plain set of counters takes', () => {
    fc.assert(
      fc.property(starts, steps, (start, moves) => {
        const window = new ReplayWindow();
        const model = new Model();
        let newest = start;
        expect(window.take(start)).toBe(model.take(start));
        for (const step of moves) {
          const counter = newest + step;
          const taken = model.take(counter);
          expect(window.isFresh(counter)).toBe(taken);
          expect(window.take(counter)).toBe(taken);
          expect(window.isFresh(counter)).toBe(false);
          if (taken) newest = Math.max(newest, counter);
          expect(window.newest).toBe(newest);
        }
      }),
      { numRuns: 300 },
    );
  });

  it.each([0, -1, MAX_TAG_COUNTER + 1])('never takes %d', (counter) => {
    expect(new ReplayWindow().take(counter)).toBe(false);
  });

  it('takes the oldest counter within it, and none that is older', () => {
    const window = new ReplayWindow();
    expect(window.take(WINDOW_COUNTERS + 5)).toBe(true);
    expect(window.take(5)).toBe(false);
    expect(window.take(6)).toBe(true);
    expect(window.take(6)).toBe(false);
    expect(window.take(MAX_TAG_COUNTER)).toBe(true);
    expect(window.take(MAX_TAG_COUNTER - WINDOW_COUNTERS)).toBe(false);
    expect(window.take(MAX_TAG_COUNTER - WINDOW_COUNTERS + 1)).toBe(true);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  leastP,
  median,
  rankTest,
  relativeSpread,
  shift,
  spread,
} from '../../../src/bench/statistics.ts';

describe('spread', () => {
  test.each([
    { values: [3], expected: { median: 3, low: 3, high: 3, count: 1 } },
    { values: [1, 2], expected: { median: 1.5, low: 1.25, high: 1.75, count: 2 } },
    { values: [5, 1, 4, 2, 3], expected: { median: 3, low: 2, high: 4, count: 5 } },
    // R: quantile(c(1, 2, 4, 8), c(.25, .5, .75)) is 1.75, 3, 5.
    { values: [8, 4, 2, 1], expected: { median: 3, low: 1.75, high: 5, count: 4 } },
  ])('of $values', ({ values, expected }) => {
    expect(spread(values)).toEqual(expected);
  });

  test('of nothing is none', () => {
    expect(spread([])).toBeUndefined();
    expect(median([])).toBeNaN();
  });

  test('one wild value moves neither the median nor the quartiles far', () => {
    const calm = spread([10, 11, 12, 13, 14]);
    const wild = spread([10, 11, 12, 13, 14_000]);
    expect(wild).toEqual(calm);
  });

  test('as a share of the median', () => {
    expect(relativeSpread({ median: 100, low: 90, high: 110, count: 5 })).toBeCloseTo(0.1);
    expect(relativeSpread({ median: 0, low: 0, high: 1, count: 5 })).toBe(0);
  });
});

describe('the rank test', () => {
  test.each([
    // Exact two-sided p of R's wilcox.test(a, b).
    { a: [1, 2, 3, 4], b: [5, 6, 7, 8], p: 2 / 70 },
    { a: [1, 2, 3, 4, 5], b: [6, 7, 8, 9, 10], p: 2 / 252 },
    { a: [1, 2, 3, 5], b: [4, 6, 7, 8], p: 4 / 70 },
    { a: [1, 4, 5, 8], b: [2, 3, 6, 7], p: 1 },
    { a: [1, 2, 3], b: [4, 5, 6], p: 0.1 },
  ])('of $a and $b', ({ a, b, p }) => {
    expect(rankTest(a, b)).toBeCloseTo(p, 12);
  });

  test('ties are dealt out like all other ranks', () => {
    // Of the 6 ways to pick 2 of the ranks 1, 2.5, 2.5, 4, two are as extreme as 1 with 2.5, each
    // in its own direction twice.
    expect(rankTest([1, 2], [2, 3])).toBeCloseTo(4 / 6, 12);
    expect(rankTest([7, 7, 7], [7, 7, 7])).toBe(1);
  });

  test('has nothing to say about nothing', () => {
    expect(rankTest([], [1, 2, 3])).toBe(1);
  });

  test('is symmetric, within bounds, and never below its least value', () => {
    const values = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(values, values, (a, b) => {
        const p = rankTest(a, b);
        expect(p).toBeCloseTo(rankTest(b, a), 12);
        expect(p).toBeLessThanOrEqual(1);
        const slack = 1e-12;
        expect(p).toBeGreaterThanOrEqual(Math.min(1, leastP(a.length, b.length) / 2) - slack);
      }),
    );
  });

  test('finds too much in noise as rarely as it says', () => {
    // All deals of eight different values into two fours: 2 of 70 have p ≤ 0.03.
    const all = [1, 2, 3, 4, 5, 6, 7, 8];
    const deals = Array.from({ length: 256 }, (_, mask) => all.filter((_, i) => mask & (1 << i)));
    const fours = deals.filter(({ length }) => length === 4);
    const alarms = fours.filter(
      (a) =>
        rankTest(
          a,
          all.filter((value) => !a.includes(value)),
        ) <= 0.03,
    );
    expect(fours).toHaveLength(70);
    expect(alarms).toHaveLength(2);
  });
});

test('the least p that so many values can have', () => {
  expect(leastP(4, 4)).toBeCloseTo(2 / 70, 12);
  expect(leastP(5, 5)).toBeCloseTo(2 / 252, 12);
  expect(leastP(1, 1)).toBe(1);
});

test('shift is the median of all ratios', () => {
  expect(shift([10, 20], [20, 40])).toBe(2);
  expect(shift([100, 101, 99], [50, 50.5, 49.5])).toBeCloseTo(0.5, 2);
  expect(shift([0, 10], [10])).toBe(1);
});

import { expect, test } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.ts';

test('the clocks go in whole milliseconds, and nothing that has happened is later than now', () => {
  const before = performance.now();
  const { monotonic, unix } = systemClock.now();
  expect(monotonic).toBeGreaterThanOrEqual(before);
  expect(monotonic).toBeLessThan(performance.now() + 1);
  expect([monotonic, unix].every(Number.isInteger)).toBe(true);
});

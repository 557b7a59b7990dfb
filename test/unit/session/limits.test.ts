import { describe, expect, it } from 'vitest';
import { backoff, pollInterval } from '../../../src/core/session/limits.ts';
import { millis } from '../../../src/core/units.ts';

describe('backoff', () => {
  it('doubles from one second to a minute', () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((attempt) => backoff(attempt, 0.5));
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  it('is spread by a fifth to either side', () => {
    expect(backoff(1, 0)).toBe(800);
    expect(backoff(1, 255 / 256)).toBe(1198);
  });
});

describe('pollInterval', () => {
  for (const [timeout, interval] of [
    [1000, 1000],
    [30_000, 5000],
    [120_000, 10_000],
    [1e9, 10_000],
  ] as const) {
    it(`is ${interval} ms for ${timeout} ms`, () => {
      expect(pollInterval(millis(timeout))).toBe(interval);
    });
  }
});

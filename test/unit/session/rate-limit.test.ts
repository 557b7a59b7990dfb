import { describe, expect, it } from 'vitest';
import { takeToken } from '../../../src/core/session/rate-limit.ts';
import { millis } from '../../../src/core/units.ts';

describe('takeToken', () => {
  const rate = { perSecond: 2, burst: 3 };

  it('gives a burst, then as many a second as the rate says', () => {
    let bucket = takeToken(undefined, rate, millis(0));
    bucket = takeToken(bucket, rate, millis(0));
    bucket = takeToken(bucket, rate, millis(0));
    expect(bucket).toBeDefined();
    expect(takeToken(bucket, rate, millis(499))).toBeUndefined();
    expect(takeToken(bucket, rate, millis(500))).toBeDefined();
  });

  it('saves no more than a burst', () => {
    const rested = takeToken(undefined, rate, millis(0));
    expect(takeToken(rested, rate, millis(1e9))?.tokens).toBe(2);
  });

  it('gives nothing for time that runs backwards', () => {
    const empty = { tokens: 0, at: millis(1000) };
    expect(takeToken(empty, rate, millis(0))).toBeUndefined();
  });
});

import { describe, expect, it } from 'vitest';
import { takeToken, type Bucket } from '../../../src/core/session/rate-limit.ts';
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

  it('gives whole bursts at times that are no round numbers', () => {
    for (const burst of [10, 100, 2000]) {
      let bucket: Bucket | undefined;
      let given = 0;
      do {
        bucket = takeToken(bucket, { perSecond: burst, burst }, millis(86_412_345.678_9));
        if (bucket !== undefined) given += 1;
      } while (bucket !== undefined);
      expect(given).toBe(burst);
    }
  });

  it('saves no more than a burst', () => {
    let bucket = takeToken(undefined, rate, millis(0));
    for (let count = 0; count < 3; count++) {
      bucket = takeToken(bucket, rate, millis(1e9));
      expect(bucket).toBeDefined();
    }
    expect(takeToken(bucket, rate, millis(1e9))).toBeUndefined();
  });

  it('gives nothing for time that runs backwards', () => {
    let empty = takeToken(undefined, rate, millis(1000));
    empty = takeToken(empty, rate, millis(1000));
    empty = takeToken(empty, rate, millis(1000));
    expect(empty).toBeDefined();
    expect(takeToken(empty, rate, millis(0))).toBeUndefined();
  });
});

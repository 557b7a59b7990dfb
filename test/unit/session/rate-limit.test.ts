import { describe, expect, it } from 'vitest';
import type { Ipv4 } from '../../../src/core/addr.ts';
import {
  OVERALL_RATE,
  OWN_RATE,
  SOURCE_RATE,
  SOURCES_MAX,
} from '../../../src/core/session/limits.ts';
import {
  admitOwn,
  admitStranger,
  NO_TRAFFIC,
  takeToken,
  type RateLimits,
} from '../../../src/core/session/rate-limit.ts';
import { millis } from '../../../src/core/units.ts';

const source = (number: number): Ipv4 => `192.0.${number >> 8}.${number & 255}` as Ipv4;

/** How many of `count` packets at one time pass. */
function passed(
  limits: RateLimits,
  count: number,
  admit: (limits: RateLimits, index: number) => RateLimits | undefined,
): { readonly limits: RateLimits; readonly passed: number } {
  let state = limits;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const next = admit(state, i);
    if (!next) continue;
    state = next;
    sum += 1;
  }
  return { limits: state, passed: sum };
}

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

describe('admitStranger', () => {
  it('limits one source', () => {
    const result = passed(NO_TRAFFIC, 1000, (limits) =>
      admitStranger(limits, source(1), millis(0)),
    );
    expect(result.passed).toBe(SOURCE_RATE.burst);
    expect(admitStranger(result.limits, source(2), millis(0))).toBeDefined();
  });

  it('limits all sources together and remembers a bounded number of them', () => {
    const result = passed(NO_TRAFFIC, 5000, (limits, index) =>
      admitStranger(limits, source(index), millis(index)),
    );
    const most = OVERALL_RATE.burst + 5 * OVERALL_RATE.perSecond;
    expect(result.passed).toBeGreaterThan(most - 10);
    expect(result.passed).toBeLessThanOrEqual(most);
    expect(result.limits.sources.size).toBe(SOURCES_MAX);
  });

  it('forgets the source that was silent for longest', () => {
    let limits: RateLimits | undefined = NO_TRAFFIC;
    const visitors = [...Array(SOURCES_MAX).keys(), 0, SOURCES_MAX];
    for (const [index, visitor] of visitors.entries()) {
      limits = limits && admitStranger(limits, source(visitor), millis(index * 1000));
    }
    expect(limits?.sources.has(source(0))).toBe(true);
    expect(limits?.sources.has(source(1))).toBe(false);
    expect(limits?.sources.has(source(SOURCES_MAX))).toBe(true);
  });

  it('takes nothing from anybody for a packet that does not pass', () => {
    const { limits } = passed(NO_TRAFFIC, 100, (state) =>
      admitStranger(state, source(1), millis(0)),
    );
    expect(limits.overall?.tokens).toBe(OVERALL_RATE.burst - SOURCE_RATE.burst);
  });
});

describe('admitOwn', () => {
  it('is limited, and not by strangers', () => {
    const flooded = passed(NO_TRAFFIC, 1000, (limits, index) =>
      admitStranger(limits, source(index), millis(0)),
    );
    expect(flooded.passed).toBe(OVERALL_RATE.burst);
    const own = passed(flooded.limits, 1000, (limits) => admitOwn(limits, millis(0)));
    expect(own.passed).toBe(OWN_RATE.burst);
  });
});

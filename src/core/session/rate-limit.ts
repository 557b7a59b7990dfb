/** The token bucket, as a value. */
import { millis, type Millis } from '../units.ts';

export type Rate = { readonly perSecond: number; readonly burst: number };

export type Bucket = { readonly tokens: number; readonly at: Millis };

/** The bucket after one token is taken; undefined when there is none. A new bucket is full. */
export function takeToken(bucket: Bucket | undefined, rate: Rate, now: Millis): Bucket | undefined {
  const elapsed = bucket ? Math.max(0, now - bucket.at) : 0;
  const saved = bucket ? bucket.tokens + (elapsed / 1000) * rate.perSecond : rate.burst;
  const tokens = Math.min(rate.burst, saved);
  return tokens < 1
    ? undefined
    : { tokens: tokens - 1, at: millis(Math.max(now, bucket?.at ?? 0)) };
}

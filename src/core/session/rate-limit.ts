/** The token bucket, as a value. */
import type { Rate } from '../budgets.ts';
import { millis, type Millis } from '../units.ts';

/** When it will be full again, if nothing more is taken: one number, since every peer has two. */
export type Bucket = Millis;

/** Milliseconds that many additions of times may be wrong by. */
const ROUNDING = 0.001;

/** The bucket after one token is taken; undefined when there is none. A new bucket is full. */
export function takeToken(bucket: Bucket | undefined, rate: Rate, now: Millis): Bucket | undefined {
  const fullAt = Math.max(now, bucket ?? now);
  const pause = 1000 / rate.perSecond;
  const empty = fullAt - now - ROUNDING > (rate.burst - 1) * pause;
  return empty ? undefined : millis(fullAt + pause);
}

/**
 * Token buckets in front of the dear tests. A stranger's packet takes a token of its source address
 * and one of the bucket that all strangers share; the peer's own path has a bucket that strangers
 * cannot empty. A source without tokens takes none of the shared ones. Sources are kept in the order
 * of their last packet, and the oldest leaves when there are too many: a flood from forged addresses
 * is held by the shared bucket alone, and costs bounded memory.
 */
import type { Ipv4 } from '../addr.ts';
import { millis, type Millis } from '../units.ts';
import { OVERALL_RATE, OWN_RATE, SOURCE_RATE, SOURCES_MAX } from './limits.ts';

type Rate = { readonly perSecond: number; readonly burst: number };

export type Bucket = { readonly tokens: number; readonly at: Millis };

export type RateLimits = {
  readonly sources: ReadonlyMap<Ipv4, Bucket>;
  readonly overall: Bucket | undefined;
  readonly own: Bucket | undefined;
};

export const NO_TRAFFIC: RateLimits = { sources: new Map(), overall: undefined, own: undefined };

/** The bucket after one token is taken; undefined when there is none. A new bucket is full. */
export function takeToken(bucket: Bucket | undefined, rate: Rate, now: Millis): Bucket | undefined {
  const elapsed = bucket ? Math.max(0, now - bucket.at) : 0;
  const saved = bucket ? bucket.tokens + (elapsed / 1000) * rate.perSecond : rate.burst;
  const tokens = Math.min(rate.burst, saved);
  return tokens < 1
    ? undefined
    : { tokens: tokens - 1, at: millis(Math.max(now, bucket?.at ?? 0)) };
}

/** The limits after a packet of the peer's own path passed; undefined when it must not. */
export function admitOwn(limits: RateLimits, now: Millis): RateLimits | undefined {
  const own = takeToken(limits.own, OWN_RATE, now);
  return own && { ...limits, own };
}

/** The limits after a stranger's packet passed; undefined when it must not. */
export function admitStranger(
  limits: RateLimits,
  source: Ipv4,
  now: Millis,
): RateLimits | undefined {
  const bucket = takeToken(limits.sources.get(source), SOURCE_RATE, now);
  const overall = takeToken(limits.overall, OVERALL_RATE, now);
  if (bucket === undefined || overall === undefined) return undefined;
  const sources = new Map(limits.sources);
  sources.delete(source);
  sources.set(source, bucket);
  const oldest = sources.keys().next();
  if (sources.size > SOURCES_MAX && oldest.done !== true) sources.delete(oldest.value);
  return { ...limits, sources, overall };
}

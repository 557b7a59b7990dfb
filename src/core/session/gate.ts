/**
 * The one gate of a tunnel before the dear tests: however many peers there are, what strangers can
 * make them cost is bounded here, once for all.
 *
 * A stranger's packet takes a token of its source (an address, of IPv6 its /64) and one of the bucket that all strangers
 * share; one with the hint of a peer's key the same, of a bucket that all hinted packets share. One from
 * a path or address that a peer was admitted at takes a token of one that all peers share. A peer's own
 * buckets come before (charge.ts). A source without tokens takes none of the shared ones.
 * Sources are kept in the order of their last packet, and the oldest leaves when there are too many: a
 * flood from forged addresses is held by the shared bucket alone, and costs bounded memory.
 */
import type { OuterIp } from '../addr.ts';
import { sourceOf, type SourceKey } from '../source-key.ts';
import type { Millis } from '../units.ts';
import {
  OUTER_ERROR_RATE,
  OVERALL_COOKIED_RATE,
  OVERALL_COOKIE_RATE,
  OVERALL_HINTED_RATE,
  OVERALL_NOTICE_RATE,
  OVERALL_OWN_RATE,
  OVERALL_RATE,
  OVERALL_RESET_RATE,
  SOURCE_RATE,
  SOURCES_MAX,
  type Rate,
} from '../budgets.ts';
import { takeToken, type Bucket } from './rate-limit.ts';
import type { ProofBudget } from './types.ts';

export class Gate implements ProofBudget {
  readonly #sources = new Map<SourceKey, Bucket>();
  /** Those that have shown by a cookie that they are who they say: what others send in their name costs these nothing. */
  readonly #proved = new Map<SourceKey, Bucket>();
  readonly #shared = new Map<Rate, Bucket>();

  own(now: Millis): boolean {
    return this.#take(OVERALL_OWN_RATE, now);
  }

  hinted(source: OuterIp, now: Millis): boolean {
    return this.#takeFrom(source, OVERALL_HINTED_RATE, now);
  }

  stranger(source: OuterIp, now: Millis): boolean {
    return this.#takeFrom(source, OVERALL_RATE, now);
  }

  /** A first message with a cookie: its sender is where he says he is. */
  cookied(source: OuterIp, now: Millis): boolean {
    return this.#takeFrom(source, OVERALL_COOKIED_RATE, now, this.#proved);
  }

  /** A COOKIE to be made. */
  cookie(now: Millis): boolean {
    return this.#take(OVERALL_COOKIE_RATE, now);
  }

  /** A RESET to be sent. */
  reset(source: OuterIp, now: Millis): boolean {
    return this.#takeFrom(source, OVERALL_RESET_RATE, now);
  }

  notice(now: Millis): boolean {
    return this.#take(OVERALL_NOTICE_RATE, now);
  }

  /** A token of a source and one of what it shares with others, or neither. */
  #takeFrom(address: OuterIp, rate: Rate, now: Millis, sources = this.#sources): boolean {
    const source = sourceOf(address);
    const bucket = takeToken(sources.get(source), SOURCE_RATE, now);
    if (bucket === undefined || !this.#take(rate, now)) return false;
    sources.delete(source);
    sources.set(source, bucket);
    const oldest = sources.keys().next();
    if (sources.size > SOURCES_MAX && oldest.done !== true) sources.delete(oldest.value);
    return true;
  }

  #take(rate: Rate, now: Millis): boolean {
    const bucket = takeToken(this.#shared.get(rate), rate, now);
    if (bucket !== undefined) this.#shared.set(rate, bucket);
    return bucket !== undefined;
  }

  /** Whether to listen to what the network says about a packet of ours. */
  outerError(now: Millis): boolean {
    return this.#take(OUTER_ERROR_RATE, now);
  }

  /** How many sources are remembered, the larger of the two numbers. */
  get sources(): number {
    return Math.max(this.#sources.size, this.#proved.size);
  }
}

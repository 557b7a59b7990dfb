/**
 * The one gate of a tunnel before the dear tests: however many peers there are, what strangers can
 * make them cost is bounded here, once for all.
 *
 * A stranger's packet takes a token of its source address and one of the bucket that all strangers
 * share. A packet from a peer's own path, or with the hint of a peer's key, has passed that peer's own
 * bucket before (in its session) and takes a token of one that all peers share: strangers who know no
 * peer's path or key cannot empty these. A source without tokens takes none of the shared ones.
 * Sources are kept in the order of their last packet, and the oldest leaves when there are too many: a
 * flood from forged addresses is held by the shared bucket alone, and costs bounded memory.
 */
import type { Ipv4 } from '../addr.ts';
import type { Millis } from '../units.ts';
import {
  OUTER_ERROR_RATE,
  OVERALL_HINTED_RATE,
  OVERALL_OWN_RATE,
  OVERALL_RATE,
  SOURCE_RATE,
  SOURCES_MAX,
} from '../budgets.ts';
import { takeToken, type Bucket } from './rate-limit.ts';
import type { ProofBudget } from './types.ts';

export class Gate implements ProofBudget {
  readonly #sources = new Map<Ipv4, Bucket>();
  #strangers: Bucket | undefined;
  #own: Bucket | undefined;
  #hinted: Bucket | undefined;
  #outerErrors: Bucket | undefined;

  own(now: Millis): boolean {
    const bucket = takeToken(this.#own, OVERALL_OWN_RATE, now);
    this.#own = bucket ?? this.#own;
    return bucket !== undefined;
  }

  hinted(now: Millis): boolean {
    const bucket = takeToken(this.#hinted, OVERALL_HINTED_RATE, now);
    this.#hinted = bucket ?? this.#hinted;
    return bucket !== undefined;
  }

  stranger(source: Ipv4, now: Millis): boolean {
    const bucket = takeToken(this.#sources.get(source), SOURCE_RATE, now);
    const overall = takeToken(this.#strangers, OVERALL_RATE, now);
    if (bucket === undefined || overall === undefined) return false;
    this.#strangers = overall;
    this.#sources.delete(source);
    this.#sources.set(source, bucket);
    const oldest = this.#sources.keys().next();
    if (this.#sources.size > SOURCES_MAX && oldest.done !== true) {
      this.#sources.delete(oldest.value);
    }
    return true;
  }

  /** Whether to listen to what the network says about a packet of ours. */
  outerError(now: Millis): boolean {
    const bucket = takeToken(this.#outerErrors, OUTER_ERROR_RATE, now);
    this.#outerErrors = bucket ?? this.#outerErrors;
    return bucket !== undefined;
  }

  /** How many sources are remembered. */
  get sources(): number {
    return this.#sources.size;
  }
}

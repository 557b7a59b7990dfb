import { randomBytes } from 'node:crypto';
import { getU32host } from '../../core/bytes.ts';
import type { Rate } from '../../core/budgets.ts';
import { createCookie, hasMac2, type CookieSource } from '../../core/handshake/cookies.ts';
import type { InitKeys } from '../../core/handshake/keys.ts';
import type { Millis } from '../../core/units.ts';
import { BucketTable } from './bucket-table.ts';
import { TokenBucket } from './token-bucket.ts';

/** The table of sources' budgets has 2^13 places, which are 64 KiB. */
const PLACES = 13;
/** Random bytes are drawn so many at once: a nonce is 16. */
const DRAWN = 4096;

export type CookieRates = { readonly cookie: Rate; readonly cookieSource: Rate };

/**
 * Cookies of session 2 (core/handshake/cookies.ts), tested and given by a plane in user space, so that the session is not
 * asked by who cannot show that he is where he says.
 */
export class CookieAnswers {
  readonly #all: TokenBucket;
  readonly #sources: BucketTable;
  readonly #now: () => Millis;
  #drawn = new Uint8Array();
  #left = 0;

  /** `now`: by the session's clock, since both give and take the same cookies. */
  constructor({ cookie, cookieSource }: CookieRates, now: () => Millis) {
    this.#all = new TokenBucket(cookie);
    this.#sources = new BucketTable(cookieSource, PLACES, getU32host(randomBytes(4), 0));
    this.#now = now;
  }

  /** Whether a first message whose mac1 is right proves where its sender is. */
  isProved({ secret }: InitKeys, source: CookieSource, init: Uint8Array): boolean {
    return hasMac2({ secret, now: this.#now() }, source, init);
  }

  /** The COOKIE for a first message whose mac1 is right; undefined while too many are given, to all or to `key`, 32 bits. */
  answer(
    keys: InitKeys,
    source: () => CookieSource,
    key: number,
    init: Uint8Array,
  ): Uint8Array | undefined {
    const now = this.#now();
    const given = this.#all.has(now) && this.#sources.take(key, now) && this.#all.take(now);
    if (!given) return undefined;
    return createCookie(this, keys, { secret: keys.secret, now }, source(), init);
  }

  /** For nonces. */
  random(length: number): Uint8Array {
    if (this.#left < length) {
      this.#drawn = randomBytes(DRAWN);
      this.#left = DRAWN;
    }
    this.#left -= length;
    return this.#drawn.subarray(this.#left, this.#left + length);
  }
}

import { CONTROL_LIMITS } from '../../core/budgets.ts';
import type { CookieSource } from '../../core/handshake/cookies.ts';
import { bearsMac2 } from '../../core/handshake/init.ts';
import type { InitKeys } from '../../core/handshake/keys.ts';
import { sipHash128 } from '../../core/siphash.ts';
import type { Millis } from '../../core/units.ts';
import { CookieAnswers } from './cookie-answers.ts';

/** The first message of session 2 (docs/PROTOCOL.md), and where in it mac1 is, which is over what is before. */
export const FIRST_MESSAGE = { type: 0xf1, length: 200 } as const;
/** Its first four bytes. */
const BEGIN = Uint8Array.of(FIRST_MESSAGE.type, 2, 0, 0);
const MAC1_OFFSET = 168;
const MAC_LENGTH = 16;

/**
 * Tests first messages before they cost the session anything. The key of mac1 is a hash of the server's public key: who
 * does not know the server cannot make one.
 */
export class FirstMessages {
  /** See PlaneContext; without them all pass. */
  keys: InitKeys | undefined;
  readonly #cookies: CookieAnswers;

  constructor(keys: InitKeys | undefined, now: () => Millis) {
    this.keys = keys;
    this.#cookies = new CookieAnswers(CONTROL_LIMITS, now);
  }

  /** What is at `at` of `bytes`: a first message that is meant for us, or for somebody else or nobody; undefined: none, or not to be told. */
  test(bytes: Uint8Array, at: number, length: number): 'ours' | 'forged' | undefined {
    if (this.keys === undefined || length !== FIRST_MESSAGE.length) return undefined;
    if (BEGIN.some((byte, index) => bytes[at + index] !== byte)) return undefined;
    const said = at + MAC1_OFFSET;
    const mac1 = sipHash128(this.keys.mac1, bytes.subarray(at, said));
    for (let index = 0; index < MAC_LENGTH; index += 1) {
      if (mac1[index] !== bytes[said + index]) return 'forged';
    }
    return 'ours';
  }

  /** Whether one that is ours proves by a cookie where its sender is. */
  isProved(bytes: Uint8Array, at: number, source: () => CookieSource): boolean {
    const init = bytes.subarray(at, at + FIRST_MESSAGE.length);
    if (!this.keys || !bearsMac2(init)) return false;
    return this.#cookies.isProved(this.keys, source(), init);
  }

  /** The COOKIE for one that is ours; undefined while too many are given, to all or to a source that this number is for. */
  cookie(
    bytes: Uint8Array,
    at: number,
    key: number,
    source: () => CookieSource,
  ): Uint8Array | undefined {
    if (!this.keys) return undefined;
    const init = bytes.subarray(at, at + FIRST_MESSAGE.length);
    return this.#cookies.answer(this.keys, source, key, init);
  }
}

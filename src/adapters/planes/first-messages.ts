import { CONTROL_LIMITS } from '../../core/budgets.ts';
import type { CookieSource } from '../../core/handshake/cookies.ts';
import { bearsMac2, hasMac1 } from '../../core/handshake/init.ts';
import type { InitKeys } from '../../core/handshake/keys.ts';
import { PACKET_LENGTH, packetKind } from '../../core/handshake/layout.ts';
import type { Millis } from '../../core/units.ts';
import { CookieAnswers } from './cookie-answers.ts';

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
    if (this.keys === undefined || length !== PACKET_LENGTH.init) return undefined;
    const packet = bytes.subarray(at, at + length);
    if (packetKind(packet) !== 'init') return undefined;
    return hasMac1(this.keys, packet) ? 'ours' : 'forged';
  }

  /** Whether one that is ours proves by a cookie where its sender is. */
  isProved(bytes: Uint8Array, at: number, source: () => CookieSource): boolean {
    const init = bytes.subarray(at, at + PACKET_LENGTH.init);
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
    const init = bytes.subarray(at, at + PACKET_LENGTH.init);
    return this.#cookies.answer(this.keys, source, key, init);
  }
}

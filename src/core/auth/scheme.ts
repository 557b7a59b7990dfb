/**
 * What a kind of proof is to a session: two small machines, that of the side which answers and that of
 * the side which asks. Each is given what is remembered of the other side and a packet, and says what
 * it makes of it and what to remember then.
 *
 * A packet is taken in two strides, since strangers send packets, too. The first (`takeRequest`,
 * `takeReply`) has the cheap tests: length, first bytes, binding, clock, replay. What passes comes back
 * with `prove`, the dear test of a token or signature (170 microseconds), which the session calls when
 * that is paid for (core/session/charge.ts). Nothing is remembered of what has not been proved.
 */
import type { Millis, Seconds } from '../units.ts';
import type { Notice, Refused } from './refusal.ts';
import type { Replay } from './replay.ts';

export type AuthCrypto = {
  readonly sign?: (message: Uint8Array) => Uint8Array;
  readonly verify?: (message: Uint8Array, signature: Uint8Array) => boolean;
  /** The own public key, 32 bytes, where `sign` is there; without it packets name no keys. */
  readonly publicKey?: () => Uint8Array;
  readonly random: (length: number) => Uint8Array;
};

/** By what a packet is judged, besides what is remembered; `now` is unix time. */
export type Occasion = { readonly crypto: AuthCrypto; readonly now: Millis };

/** After the cheap tests. */
export type Look<Proved> =
  | { readonly ok: true; readonly prove: () => Proved | Refused }
  | (Refused & {
      /**
       * The refusal as a packet for who sent this one, where he understands it and this side can sign it;
       * undefined when his signature does not hold, who thus gets nothing. As dear as `prove`.
       */
      readonly tell?: (time: Seconds, notice: Notice) => Uint8Array | undefined;
    });

export type ProvedRequest = {
  readonly ok: true;
  /** To be remembered before anything is done for it. */
  readonly replay: Replay | undefined;
  /** The path MTU that it reports (inner bytes). */
  readonly pathMtu: number | undefined;
  /** The public key that it registers in place of the one that it is signed with. */
  readonly registers?: Uint8Array | undefined;
  /** The answer, as long as the request where this scheme can pad, and never longer. */
  readonly reply: (time: Seconds) => Uint8Array;
};

export type ProvedReply = {
  readonly ok: true;
  readonly replay: Replay | undefined;
  /** Which of the open requests it answers, and uses up; undefined where it does not say. */
  readonly answers: number | undefined;
  /** Why the other side refuses that request: then this is no success. */
  readonly notice: Notice | undefined;
};

export type Scheme = {
  /**
   * UDP payload lengths that can be authentication packets (or their replies) of this scheme, but for
   * those that are padded: they come from admitted paths, and never look like data.
   */
  readonly authLengths: readonly number[];
  /** Whether requests can be padded and carry a report. */
  readonly extensible: boolean;
  /** Whether replies carry a signature that this side checks; else they are reversed requests. */
  readonly signedReplies: boolean;
  /** A fresh request; undefined when this side has nothing to prove itself with. */
  readonly build: (
    crypto: AuthCrypto,
    time: Seconds,
    wishes?: RequestWishes,
  ) => Uint8Array | undefined;
  readonly takeRequest: (
    replay: Replay | undefined,
    payload: Uint8Array,
    occasion: Occasion,
  ) => Look<ProvedRequest>;
  /** `open`: the requests that may still be answered. */
  readonly takeReply: (
    replay: Replay | undefined,
    payload: Uint8Array,
    open: readonly Uint8Array[],
    occasion: Occasion,
  ) => Look<ProvedReply>;
  /** Whether a packet carries the hint of this peer's key. Proves nothing. */
  readonly hinted: (payload: Uint8Array) => boolean;
  /** Tells one configured proof from another without giving secrets away; see SessionMemory.peer. */
  readonly mark: () => string;
};

/** What a request should be besides authentic; only extensible schemes heed it. */
export type RequestWishes = {
  /** Bytes to pad it to. */
  readonly length?: number | undefined;
  /** The path MTU to report (inner bytes). */
  readonly pathMtu?: number | undefined;
  /** The public key to register. */
  readonly registers?: Uint8Array | undefined;
};

/**
 * A client's half of an invitation: what to send until the server has taken its key.
 *
 * It registers its own key by requests under the invitation's. Where an answer is lost, the invitation is
 * used up, and only the new key tells that it was: so from the second time on it also asks under that, by both
 * sessions, since a server may speak session 2 alone. A reply to any proves that the server knows the key. Nothing is answered to an invitation that has
 * expired, was used or never was; a clock that is off is told by the server.
 */
import type { Notice } from '../auth/refusal.ts';
import { packetTime } from '../auth/replay.ts';
import { packetSeconds, schemeOf } from '../auth/schemes.ts';
import type { AuthCrypto } from '../auth/scheme.ts';
import type { Proof } from '../config/tunnel-config.ts';
import type { Millis, Seconds } from '../units.ts';
import { FirstMessages } from './first-messages.ts';
import type { SecureCrypto } from './secure/crypto.ts';

type Signer = { readonly proof: Proof; readonly crypto: AuthCrypto };

export type JoinKeys = {
  readonly invitation: Signer;
  readonly own: Signer & { readonly crypto: { readonly secure?: SecureCrypto } };
  /** The key to register. */
  readonly publicKey: Uint8Array;
};

export type JoinReply =
  | { readonly kind: 'joined' }
  /** The server's own word. */
  | { readonly kind: 'refused'; readonly notice: Notice };

/** Requests that a reply may still answer. */
const OPEN_MAX = 16;

export class Joining {
  readonly #keys: JoinKeys;
  readonly #open: { readonly registering: Uint8Array[]; readonly asking: Uint8Array[] } = {
    registering: [],
    asking: [],
  };
  readonly #first: FirstMessages | undefined;
  #lastTime: Seconds | undefined;
  #rounds = 0;

  constructor(keys: JoinKeys) {
    this.#keys = keys;
    const { secure } = keys.own.crypto;
    this.#first = secure && new FirstMessages(secure);
  }

  /** What to send now; once a second or less often. */
  next(unix: Millis): readonly Uint8Array[] {
    const { invitation, own, publicKey } = this.#keys;
    const time = packetTime(packetSeconds(unix), this.#lastTime);
    this.#lastTime = time;
    this.#rounds += 1;
    const register = schemeOf(invitation.proof).build(invitation.crypto, time, {
      registers: publicKey,
    });
    keep(this.#open.registering, register);
    if (this.#rounds === 1) return [register].filter((packet) => packet !== undefined);
    const ask = schemeOf(own.proof).build(own.crypto, time);
    keep(this.#open.asking, ask);
    return [register, ask, this.#first?.next(unix)].filter((packet) => packet !== undefined);
  }

  /** What a packet says; undefined for what is no answer. */
  take(payload: Uint8Array, unix: Millis): JoinReply | undefined {
    const { invitation, own } = this.#keys;
    if (this.#first?.take(payload)) return { kind: 'joined' };
    return (
      verified(invitation, payload, this.#open.registering, unix) ??
      verified(own, payload, this.#open.asking, unix)
    );
  }
}

function keep(open: Uint8Array[], packet: Uint8Array | undefined): void {
  if (packet) open.push(packet);
  if (open.length > OPEN_MAX) open.shift();
}

function verified(
  { proof, crypto }: Signer,
  payload: Uint8Array,
  open: readonly Uint8Array[],
  now: Millis,
): JoinReply | undefined {
  if (open.length === 0) return undefined;
  const look = schemeOf(proof).takeReply(undefined, payload, open, { crypto, now });
  const proved = look.ok ? look.prove() : look;
  // One that does not say what it answers may be an old one.
  if (!proved.ok || proved.answers === undefined) return undefined;
  return proved.notice ? { kind: 'refused', notice: proved.notice } : { kind: 'joined' };
}

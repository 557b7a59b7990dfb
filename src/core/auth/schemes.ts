/**
 * The kinds of proof, one object each, with the same operations. Tests are split by cost: `shape`
 * reads a few bytes, `screen` compares times, `prove` may verify a signature (170 microseconds) and
 * comes last, behind a rate limit. Nothing but `accepted` changes what is remembered.
 */
import type { Proof } from '../config/tunnel-config.ts';
import { concatBytes, getU16be } from '../bytes.ts';
import { seconds, type Millis, type Seconds } from '../units.ts';
import { constantTimeEqual, formatChecksum } from './bytes.ts';
import { encodePublicKey, type PublicKey } from '../public-key.ts';
import { ACCEPTED, refused, type Verdict } from './refusal.ts';
import { checkReplay, rememberPacket, type Replay } from './replay.ts';
import { EXTENSION, type Extension } from './extensions.ts';
import {
  AUTH_V1_HINTED_LENGTH,
  AUTH_V1_LENGTH,
  AUTH_V1_REPORTING_LENGTH,
  buildAuth,
  decodeAuth,
  fingerprint,
  hintOf,
  hintOfKey,
  pathMtuExtension,
  reversedReply,
  signedMessage,
  signsReplies,
} from './v1.ts';

export type AuthCrypto = {
  readonly sign?: (message: Uint8Array) => Uint8Array;
  readonly verify?: (message: Uint8Array, signature: Uint8Array) => boolean;
  /** The own public key, 32 bytes, where `sign` is there; without it packets carry no hint. */
  readonly publicKey?: () => Uint8Array;
  readonly random: (length: number) => Uint8Array;
};

export type Scheme = {
  /**
   * UDP payload lengths that can be authentication packets (or their replies) of this scheme, but for
   * those that are padded: they come from admitted paths, and never look like data.
   */
  readonly authLengths: readonly number[];
  /** A fresh request; undefined when this side has nothing to prove itself with. */
  readonly build: (
    crypto: AuthCrypto,
    time: Seconds,
    wishes?: RequestWishes,
  ) => Uint8Array | undefined;
  /** Whether requests can be padded and carry a report. */
  readonly extensible: boolean;
  /** The answer to an authentic request, as long as it where this scheme can pad, and never longer. */
  readonly reply: (crypto: AuthCrypto, request: Uint8Array, time: Seconds) => Uint8Array;
  /** Whether replies carry a signature that this side checks; else they are reversed requests. */
  readonly signedReplies: boolean;
  /** Whether a packet carries the hint of this peer's key. Proves nothing. */
  readonly hinted: (payload: Uint8Array) => boolean;
  /** Length and first bytes. */
  readonly shape: (payload: Uint8Array) => Verdict;
  /** Clock and replay; only for what `shape` passed. */
  readonly screen: (payload: Uint8Array, now: Millis, replay: Replay | undefined) => Verdict;
  /** Token or signature; only for what `shape` passed. */
  readonly prove: (payload: Uint8Array, crypto: AuthCrypto) => Verdict;
  /** The replay memory after this packet was accepted. */
  readonly accepted: (
    payload: Uint8Array,
    now: Millis,
    replay: Replay | undefined,
  ) => Replay | undefined;
  /** Tells one configured proof from another without giving secrets away; see SessionMemory.peer. */
  readonly mark: () => string;
};

/** What a request should be besides authentic; only extensible schemes heed it. */
export type RequestWishes = {
  /** Bytes to pad it to. */
  readonly length?: number | undefined;
  /** The path MTU to report (inner bytes). */
  readonly pathMtu?: number | undefined;
};

type ProofOf<Kind extends Proof['kind']> = Extract<Proof, { readonly kind: Kind }>;

const SCHEMES: { readonly [Kind in Proof['kind']]: (proof: ProofOf<Kind>) => Scheme } = {
  none: () => ({
    authLengths: [0],
    build: () => new Uint8Array(),
    extensible: false,
    reply: (_crypto, request) => reversedReply(request),
    signedReplies: false,
    hinted: () => false,
    shape: (payload) => shapeOf(payload, payload.length === 0),
    screen: () => ACCEPTED,
    prove: () => ACCEPTED,
    accepted: (_payload, _now, replay) => replay,
    mark: () => 'none',
  }),

  token: ({ token }) => ({
    authLengths: [token.length],
    build: () => token,
    extensible: false,
    reply: (_crypto, request) => reversedReply(request),
    signedReplies: false,
    hinted: () => false,
    shape: (payload) => (payload.length === token.length ? ACCEPTED : shapeOf(payload, false)),
    screen: () => ACCEPTED,
    prove: (payload) => (constantTimeEqual(payload, token) ? ACCEPTED : refused('token')),
    accepted: (_payload, _now, replay) => replay,
    mark: () => `token-${formatChecksum(token)}`,
  }),

  ed25519: (proof) => ({
    authLengths: [AUTH_V1_LENGTH, AUTH_V1_HINTED_LENGTH, AUTH_V1_REPORTING_LENGTH],
    build: ({ sign, publicKey, random }, time, { length, pathMtu } = {}) =>
      sign === undefined
        ? undefined
        : buildAuth(
            proof,
            time,
            { sign, random },
            { length, extensions: [...ownHint(publicKey), ...reportOf(pathMtu)] },
          ),
    extensible: true,
    reply({ sign, publicKey, random }, request, time) {
      if (sign === undefined || !signsReplies(proof)) return reversedReply(request);
      const { length } = request;
      const extensions = length >= AUTH_V1_HINTED_LENGTH ? ownHint(publicKey) : [];
      return buildAuth(proof, time, { sign, random }, { length, extensions });
    },
    signedReplies: proof.peerPublicKey !== undefined,
    hinted(payload) {
      const { peerPublicKey } = proof;
      if (peerPublicKey === undefined) return false;
      const hint = hintOf(payload);
      return (
        hint !== undefined && constantTimeEqual(hint, hintOfKey(encodePublicKey(peerPublicKey)))
      );
    },
    shape: (payload) => shapeOf(payload, payload.length >= AUTH_V1_LENGTH),
    screen: (payload, now, replay) => {
      const packet = decodeAuth(payload);
      if (packet === undefined) return refused('length');
      const difference = packet.time - Math.floor(now / 1000);
      if (proof.maxTimeDiscrepancy > 0 && Math.abs(difference) > proof.maxTimeDiscrepancy) {
        return { ok: false, reason: 'clock', difference };
      }
      return checkReplay(replay, packet.time, fingerprint(packet));
    },
    prove: (payload, { verify }) => {
      const packet = decodeAuth(payload);
      if (packet === undefined) return refused('length');
      if (verify === undefined) return refused('unverifiable');
      const authentic = verify(signedMessage(packet.signed, proof.secret), packet.signature);
      return authentic ? ACCEPTED : refused('signature');
    },
    accepted: (payload, now, replay) => {
      const packet = decodeAuth(payload);
      return packet && rememberPacket(replay, packet.time, fingerprint(packet), packetSeconds(now));
    },
    mark() {
      const { peerPublicKey, secret } = proof;
      const key = peerPublicKey === undefined ? new Uint8Array() : encodePublicKey(peerPublicKey);
      return `ed25519-${formatChecksum(concatBytes([key, secret]))}`;
    },
  }),
};

function ownHint(publicKey: AuthCrypto['publicKey']): readonly Extension[] {
  return publicKey ? [{ type: EXTENSION.hint, value: hintOfKey(publicKey()) }] : [];
}

function reportOf(pathMtu: number | undefined): readonly Extension[] {
  return pathMtu === undefined ? [] : [pathMtuExtension(pathMtu)];
}

/** The scheme of a configured proof. */
export function schemeOf(proof: Proof): Scheme {
  if (proof.kind === 'none') return SCHEMES.none(proof);
  return proof.kind === 'token' ? SCHEMES.token(proof) : SCHEMES.ed25519(proof);
}

/**
 * Whose packets a replay memory is about: the signer's key, whatever peer has it on whatever device, so
 * that no packet is new again where a peer is renamed, moved or given another secret. Undefined where
 * nothing of the kind is remembered.
 */
export function replayKey(proof: Proof): PublicKey | undefined {
  return proof.kind === 'ed25519' ? proof.peerPublicKey : undefined;
}

/** UDP payload lengths that can be authentication packets under any of some proofs; what a plane is told. */
export function authLengths(proofs: Iterable<Proof>): readonly number[] {
  const lengths = new Set<number>();
  for (const proof of proofs) for (const length of schemeOf(proof).authLengths) lengths.add(length);
  return [...lengths].toSorted((a, b) => a - b);
}

/** Whole seconds of a unix time, as packets carry it. */
export function packetSeconds(unix: Millis): Seconds {
  return seconds(Math.floor(unix / 1000));
}

function shapeOf(payload: Uint8Array, fits: boolean): Verdict {
  if (isInnerPacket(payload)) return refused('not-authentication');
  return fits ? ACCEPTED : refused('length');
}

/**
 * Whether a payload is a whole inner IP packet: version 4 (RFC 791: header length, total length) or
 * 6 (RFC 8200: payload length) with lengths that agree. Random bytes pass once in a million.
 */
export function isInnerPacket(payload: Uint8Array): boolean {
  const first = payload[0] ?? 0;
  if (first >> 4 === 4 && payload.length >= 20) {
    return (first & 15) >= 5 && getU16be(payload, 2) === payload.length;
  }
  return first >> 4 === 6 && payload.length >= 40 && getU16be(payload, 4) + 40 === payload.length;
}

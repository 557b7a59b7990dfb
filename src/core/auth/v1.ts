/**
 * The ed25519 authentication packet, version 1, and its replies. UDP payload:
 *
 *     0                                             64          69       73
 *     +---------------------------------------------+-----------+--------+- - - - - -+
 *     | signature, ed25519 (RFC 8032)               | unix time | salt   | trailer   |
 *     +---------------------------------------------+-----------+--------+- - - - - -+
 *                                                   |<------ signed, then the secret
 *
 * The time is UTC in whole seconds, 40 bits, network byte order; the salt is random. The signature
 * is over every byte after itself followed by the shared secret, which is never sent. A trailer of
 * any length is signed with the rest; whoever does not know it ignores it. Ours is a list of fields
 * (extensions.ts, trailer.ts):
 *
 *     0      1        3                3 + length
 *     +------+--------+- - - - - - - - +
 *     | type | length | value          |     type 0 is one byte of padding, without length or value
 *     +------+--------+- - - - - - - - +
 *
 * | type | value                                                                       |
 * | ---- | --------------------------------------------------------------------------- |
 * | 0    | padding; one such byte ends the list, more make a packet of any length      |
 * | 1    | key hint: the first 8 bytes of the sender's public key, whom to look up for |
 * | 2    | path MTU: the largest inner packet (bytes, 16 bits) that the sender has     |
 * |      | proved to pass between the two sides, both ways                             |
 * | 3    | to, in requests: the first 8 bytes of the server's public key, zeros where  |
 * |      | the client does not know it; a byte of what it understands: 1 = refusals    |
 * | 4    | answers, in replies: the first 8 bytes of the request                       |
 * | 5    | refused, in replies that are no success: why (NOTICES) and by how many      |
 * |      | seconds (32 bits, signed)                                                   |
 * | 6    | register, in requests under the key of an invitation: the public key (32    |
 * |      | bytes) that is to take its place                                            |
 *
 * Types that are not known are skipped; a trailer that is no such list counts as none. A request
 * carries hint and `to` always, the hint first, which makes 97 bytes. A reply has what of `answers` and
 * the hint fits the request's length, so that nobody gets back more than he sent, and is padded to be
 * just as long: a request that is padded to an inner packet's size thus asks whether such packets pass
 * both ways. The closing byte of padding is what keeps a reversed packet from starting like data.
 *
 * What the binding gives: a request is good at the server that it was made for, a reply for the request
 * that it answers, and neither for the other. A reply that answers a request of ours needs no clock.
 * The server's address would bind where no key is known, but a NAT, a forwarded port or anycast before
 * the server change it: so without `auth-key-b64` there and `auth-remote-pubkey-b64` here requests are
 * good at every server that has the client's key and secret. Packets without types 3 and 4 are those of
 * the first implementation (73 bytes) and of ipipou 0.2 (85, 90); they are taken as ever, bound to
 * nothing. Nobody else can make one out of a bound packet: the trailer is signed.
 *
 * A refusal is sent to who signed the request and understands it, by a server that can sign: an
 * unsigned one could be anybody's.
 */
import { formatBase64 } from '../base64.ts';
import { concatBytes } from '../bytes.ts';
import { seconds, type Millis, type Seconds } from '../units.ts';
import { startsLikeData } from '../wire/inner-packet.ts';
import { reverseBytes } from './bytes.ts';
import { encodeExtensions, type Extension } from './extensions.ts';

const SIGNATURE = { offset: 0, length: 64 } as const;
const TIME = { offset: 64, length: 5 } as const;
const SALT = { offset: 69, length: 4 } as const;

/** Bytes of a packet without a trailer: the least that is accepted. */
export const AUTH_V1_LENGTH = SALT.offset + SALT.length;
export const SALT_LENGTH = SALT.length;
export const SIGNATURE_LENGTH = SIGNATURE.length;

/**
 * How many salts are drawn for one packet at most. Each is one signature, about 60 microseconds;
 * seven of eight signatures do, so all sixteen fail once in 2^48.
 */
export const SALT_TRIES = 16;

/** First bytes of the signature that make a fingerprint; a multiple of three for base64. */
const FINGERPRINT_LENGTH = 24;

type Sign = (message: Uint8Array) => Uint8Array;

/** A decoded packet; `signature` and `signed` are views of the payload. */
export type AuthV1 = {
  readonly signature: Uint8Array;
  /** Everything after the signature, without the secret. */
  readonly signed: Uint8Array;
  readonly time: Seconds;
};

export type AuthFields = {
  readonly unixSeconds: Seconds;
  readonly salt: Uint8Array;
  /** The trailer's fields. */
  readonly extensions?: readonly Extension[];
  /** Bytes to pad the packet to; one that is as long without keeps its length. */
  readonly length?: number | undefined;
};

/** What a packet says besides who sends it, and its length. */
export type Trailer = Pick<AuthFields, 'extensions' | 'length'>;

/** What a payload says; undefined when it is shorter than the fixed fields. Proves nothing. */
export function decodeAuth(payload: Uint8Array): AuthV1 | undefined {
  if (payload.length < AUTH_V1_LENGTH) return undefined;
  const time = payload
    .subarray(TIME.offset, TIME.offset + TIME.length)
    .reduce((sum, byte) => sum * 256 + byte, 0);
  return {
    signature: payload.subarray(SIGNATURE.offset, SIGNATURE.offset + SIGNATURE.length),
    signed: payload.subarray(TIME.offset),
    time: seconds(time),
  };
}

/** The bytes that a packet's signature is over. */
export function signedMessage(signed: Uint8Array, secret: Uint8Array): Uint8Array {
  return concatBytes([signed, secret]);
}

/** One packet with exactly these fields. `unixSeconds` is 0..2^40-1, the salt has four bytes. */
export function encodeAuth(
  proof: { readonly secret: Uint8Array },
  fields: AuthFields,
  sign: Sign,
): Uint8Array {
  if (fields.salt.length !== SALT.length) throw new RangeError(`salt of ${fields.salt.length}`);
  const trailer = encodeExtensions(fields.extensions ?? []);
  const least = TIME.length + SALT.length + trailer.length;
  const signed = new Uint8Array(Math.max(least, (fields.length ?? 0) - SIGNATURE.length));
  let rest: number = fields.unixSeconds;
  for (let i = TIME.length - 1; i >= 0; i--) {
    signed[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  signed.set(fields.salt, TIME.length);
  signed.set(trailer, TIME.length + SALT.length);
  return concatBytes([sign(signedMessage(signed, proof.secret)), signed]);
}

/**
 * A packet to send: salts are drawn until the packet does not start like data, and neither does
 * its reversal, which may come back as the reply. After `SALT_TRIES` signatures the last is taken
 * as it is: then only its length tells it from data.
 */
export function buildAuth(
  proof: { readonly secret: Uint8Array },
  unixSeconds: Seconds,
  crypto: { readonly sign: Sign; readonly random: (length: number) => Uint8Array },
  trailer: Trailer = {},
): Uint8Array {
  let packet = new Uint8Array();
  for (let tries = 0; tries < SALT_TRIES; tries++) {
    const salt = drawSalt(crypto.random);
    packet = Uint8Array.from(encodeAuth(proof, { unixSeconds, salt, ...trailer }, crypto.sign));
    if (!startsLikeData(packet[0])) break;
  }
  return packet;
}

function drawSalt(random: (length: number) => Uint8Array): Uint8Array {
  let salt = random(SALT.length);
  for (let tries = 1; tries < SALT_TRIES && startsLikeData(salt.at(-1)); tries++) {
    salt = random(SALT.length);
  }
  return salt;
}

/**
 * Names an accepted packet. It is the start of the signature's first half (the point R), which
 * nobody without the private key can change without spoiling the signature, so a packet altered
 * in its second half to look new keeps its fingerprint.
 */
export function fingerprint(packet: AuthV1): string {
  return formatBase64(packet.signature.subarray(0, FINGERPRINT_LENGTH));
}

/** The reply of a side that cannot sign: the request with its bytes in reverse order. */
export function reversedReply(request: Uint8Array): Uint8Array {
  return reverseBytes(request);
}

/** Whole seconds of a unix time, as packets carry it. */
export function packetSeconds(unix: Millis): Seconds {
  return seconds(Math.floor(unix / 1000));
}

/**
 * INIT: the first message of Noise IKpsk2, whose prologue ends with the packet's own first 8 bytes, so that no bit of
 * it may change on the way. `mac1` is made with a key that whoever knows the server's public key has, `mac2` with a
 * cookie (cookies.ts); without one it is zeros. A server tests in this order: length, mac1 (`hasMac1`), if it is busy
 * mac2 (`hasMac2`), who it is from (`readInitStatic`), the rest (`readInit`).
 */
import { constantTimeEqual } from '../auth/bytes.ts';
import { concatBytes } from '../bytes.ts';
import {
  readMessage,
  readStatic,
  startHandshake,
  writeMessage,
  type Handshake,
  type Reading,
} from '../noise/handshake.ts';
import type { NoiseCrypto } from '../noise/types.ts';
import { sipHash128 } from '../siphash.ts';
import { PROLOGUE, responseKeyOf, type ClientKeys, type ServerKeys } from './keys.ts';
import { beginPacket, indexOf, PACKET_LENGTH, packetKind, SENDER_AT } from './layout.ts';
import { decodeInitPayload, encodeInitPayload, type InitPayload } from './payloads.ts';
import { refusedFor, type Heard } from './refusal.ts';

export const MAC_BYTES = 16;
const MAC2_AT = PACKET_LENGTH.init - MAC_BYTES;
const MAC1_AT = MAC2_AT - MAC_BYTES;
const MESSAGE_AT = SENDER_AT;

/** What a client keeps of an INIT until there is a RESPONSE. Plain data. */
export type PendingInit = {
  readonly handshake: Handshake;
  /** The client's index, which it receives by. */
  readonly index: number;
  /** Of the packet: a COOKIE is for this one. */
  readonly mac1: Uint8Array;
  /** Of the RESPONSE's mac. */
  readonly responseKey: Uint8Array;
};

/** An INIT whose sender says who it is, and has not proved it. */
export type Introduction = {
  /** The client's X25519 public key; `edwardsYOf` finds its ed25519 key. */
  readonly client: Uint8Array;
  readonly index: number;
  readonly reading: Reading;
};

/** An INIT that its sender has proved to have made, once: now, or whenever it was recorded. Plain data. */
export type HeardInit = {
  readonly payload: InitPayload;
  /** The client's index. */
  readonly index: number;
  readonly handshake: Handshake;
  readonly responseKey: Uint8Array;
};

/** Throws RangeError for a payload that does not fit. `cookie`: what the server has told (`readCookie`). */
export function createInit(
  crypto: NoiseCrypto,
  keys: ClientKeys,
  { index, payload }: { readonly index: number; readonly payload: InitPayload },
  cookie?: Uint8Array,
): { readonly packet: Uint8Array; readonly pending: PendingInit } {
  const packet = beginPacket('init', index);
  const start = startHandshake(crypto, {
    ...{ role: 'initiator', pattern: 'IKpsk2', prologue: prologueOf(packet) },
    ...{ own: keys.own, remote: keys.server, psk: keys.psk },
  });
  const written = writeMessage(crypto, start, encodeInitPayload(payload));
  if (!written) throw new RangeError("the server's key has a low order");
  packet.set(written.message, MESSAGE_AT);
  const mac1 = sipHash128(keys.mac1, packet.subarray(0, MAC1_AT));
  packet.set(mac1, MAC1_AT);
  if (cookie) packet.set(sipHash128(cookie, packet.subarray(0, MAC2_AT)), MAC2_AT);
  const responseKey = responseKeyOf(crypto, written.state.symmetric.chainingKey);
  return { packet, pending: { handshake: written.state, index, mac1, responseKey } };
}

/** Whether an INIT was made by somebody who knows the server's public key. */
export function hasMac1({ mac1 }: Pick<ServerKeys, 'mac1'>, packet: Uint8Array): boolean {
  if (packetKind(packet) !== 'init') return false;
  return constantTimeEqual(mac1Of(packet), sipHash128(mac1, packet.subarray(0, MAC1_AT)));
}

/** Whether it has a mac2 at all, right or wrong: where there is none are zeros. */
export function bearsMac2(init: Uint8Array): boolean {
  return init.subarray(MAC2_AT).some((byte) => byte !== 0);
}

/** Whether it was made by somebody who was told this cookie. */
export function hasMac2With(cookie: Uint8Array, packet: Uint8Array): boolean {
  if (packetKind(packet) !== 'init') return false;
  return constantTimeEqual(
    packet.subarray(MAC2_AT),
    sipHash128(cookie, packet.subarray(0, MAC2_AT)),
  );
}

export function mac1Of(init: Uint8Array): Uint8Array {
  return init.subarray(MAC1_AT, MAC2_AT);
}

/** Who an INIT is from, as it says: one operation of X25519, about half of what the whole costs. */
export function readInitStatic(
  crypto: NoiseCrypto,
  keys: ServerKeys,
  packet: Uint8Array,
): Heard<Introduction> {
  if (packetKind(packet) !== 'init') return refusedFor('length');
  if (!hasMac1(keys, packet)) return refusedFor('mac');
  const index = indexOf(packet);
  if (index === undefined) return refusedFor('index');
  const start = startHandshake(crypto, {
    ...{ role: 'responder', pattern: 'IKpsk2', own: keys.own, prologue: prologueOf(packet) },
  });
  const reading = readStatic(crypto, start, packet.subarray(MESSAGE_AT, MAC1_AT));
  if (!reading?.state.remote) return refusedFor('undecipherable');
  return { ok: true, value: { client: reading.state.remote, index, reading } };
}

/** `psk`: that of the peer whose key it is; a client that has another one refuses the RESPONSE. */
export function readInit(
  crypto: NoiseCrypto,
  { index, reading }: Introduction,
  psk: Uint8Array,
): Heard<HeardInit> {
  const read = readMessage(crypto, reading);
  if (!read) return refusedFor('undecipherable');
  const payload = decodeInitPayload(read.payload);
  if (!payload) return refusedFor('malformed');
  const responseKey = responseKeyOf(crypto, read.state.symmetric.chainingKey);
  return { ok: true, value: { payload, index, handshake: { ...read.state, psk }, responseKey } };
}

function prologueOf(packet: Uint8Array): Uint8Array {
  return concatBytes([new TextEncoder().encode(PROLOGUE), packet.subarray(0, MESSAGE_AT)]);
}

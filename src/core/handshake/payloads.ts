/**
 * What INIT and RESPONSE say, 64 bytes each. What is reserved is sent as zeros and not looked at.
 *
 *     INIT      counter 8, capabilities 4, integrity 1, lowest version 1, MTU 2, own source 18, path epoch 2,
 *               destination 18, keepalive 2, reserved 8
 *     RESPONSE  challenge 8, observed source 18, path epoch 2, own address as reached 18, integrity 1, reserved 1,
 *               rekey after 2, MTU 2, capabilities 4, reset token 8
 */
import type { Endpoint } from '../addr.ts';
import type { Integrity } from '../tag/types.ts';
import { seconds, type Seconds } from '../units.ts';
import { CHALLENGE_BYTES, FieldReader, FieldWriter, RESET_TOKEN_BYTES } from './fields.ts';

export const PAYLOAD_BYTES = 64;

/** Bits of `capabilities`; those that are not known are not looked at. */
export const CAPABILITY = {
  /** Tells how much it has sent (ATTEST), and wants to be told. */
  attest: 1,
  /** What it tells there are the packets as they are on the wire. */
  exact: 2,
} as const;

export type InitPayload = {
  /** More than in any INIT before, of this key. */
  readonly counter: bigint;
  readonly capabilities: number;
  /** What the client asks for. */
  readonly integrity: Integrity;
  /** The lowest version of the session protocol that it would speak with this server. */
  readonly lowestVersion: number;
  /** Of its device, inner bytes. */
  readonly mtu: number;
  /** Where it sends from, as it sees it. */
  readonly source: Endpoint | undefined;
  /** Grows with every move. */
  readonly epoch: number;
  /** Where it sends to, as it sees it. */
  readonly destination: Endpoint | undefined;
  /** 0: none. */
  readonly keepalive: Seconds;
};

export type ResponsePayload = {
  /** To be sent back (PATH_RESPONSE): that moves the path. */
  readonly challenge: Uint8Array;
  /** Where INIT came from. */
  readonly observed: Endpoint;
  /** That of INIT. */
  readonly epoch: number;
  /** Where INIT came to. */
  readonly reached: Endpoint | undefined;
  /** What is agreed. */
  readonly integrity: Integrity;
  /** When the client makes a new handshake. */
  readonly rekeyAfter: Seconds;
  readonly mtu: number;
  readonly capabilities: number;
  /** Proves a RESET of this session, for as long as the client comes from `observed`. */
  readonly resetToken: Uint8Array;
};

/** Throws RangeError for what does not fit. */
export function encodeInitPayload(payload: InitPayload): Uint8Array {
  return new FieldWriter(PAYLOAD_BYTES)
    .u64(payload.counter)
    .u32(payload.capabilities)
    .integrity(payload.integrity)
    .u8(payload.lowestVersion)
    .u16(payload.mtu)
    .endpoint(payload.source)
    .u16(payload.epoch)
    .endpoint(payload.destination)
    .u16(payload.keepalive).bytes;
}

export function decodeInitPayload(bytes: Uint8Array): InitPayload | undefined {
  if (bytes.length !== PAYLOAD_BYTES) return undefined;
  const fields = new FieldReader(bytes);
  const payload: InitPayload = {
    counter: fields.u64(),
    capabilities: fields.u32(),
    integrity: fields.integrity(),
    lowestVersion: fields.u8(),
    mtu: fields.u16(),
    source: fields.endpoint(),
    epoch: fields.u16(),
    destination: fields.endpoint(),
    keepalive: seconds(fields.u16()),
  };
  return fields.malformed || payload.lowestVersion === 0 ? undefined : payload;
}

/** Throws RangeError for what does not fit. */
export function encodeResponsePayload(payload: ResponsePayload): Uint8Array {
  return new FieldWriter(PAYLOAD_BYTES)
    .exactly(CHALLENGE_BYTES, payload.challenge)
    .endpoint(payload.observed)
    .u16(payload.epoch)
    .endpoint(payload.reached)
    .integrity(payload.integrity)
    .u8(0)
    .u16(payload.rekeyAfter)
    .u16(payload.mtu)
    .u32(payload.capabilities)
    .exactly(RESET_TOKEN_BYTES, payload.resetToken).bytes;
}

export function decodeResponsePayload(bytes: Uint8Array): ResponsePayload | undefined {
  if (bytes.length !== PAYLOAD_BYTES) return undefined;
  const fields = new FieldReader(bytes);
  const challenge = fields.raw(CHALLENGE_BYTES);
  const observed = fields.endpoint();
  const epoch = fields.u16();
  const reached = fields.endpoint();
  const integrity = fields.integrity();
  fields.u8();
  const rest = {
    rekeyAfter: seconds(fields.u16()),
    mtu: fields.u16(),
    capabilities: fields.u32(),
    resetToken: fields.raw(RESET_TOKEN_BYTES),
  };
  if (fields.malformed || !observed) return undefined;
  return { challenge, observed, epoch, reached, integrity, ...rest };
}

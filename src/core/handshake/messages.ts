/**
 * What CONTROL carries: messages of type 1, length 1 and a value, one behind the other, then zeros. A type that is not
 * known is skipped, so that there may be others; one that is known has its length exactly, and comes once.
 *
 *     1 PATH_CHALLENGE 8   2 PATH_RESPONSE 8   3 OBSERVED 18 + token 8   4 MOVE epoch 2 + source 18 + destination 18
 *     5 ATTEST epoch 4 + packets 8 + bytes 8   6 MTU 2   7 PING 4   8 PONG 4   9 CLOSE reason 1
 */
import type { Endpoint } from '../addr.ts';
import { concatBytes } from '../bytes.ts';
import {
  CHALLENGE_BYTES,
  ENDPOINT_BYTES,
  FieldReader,
  FieldWriter,
  RESET_TOKEN_BYTES,
} from './fields.ts';

/** Why a session is over; other numbers may come. */
export const CLOSE_REASON = { ended: 0, removed: 1 } as const;

export type ControlMessage =
  | { readonly kind: 'path-challenge'; readonly challenge: Uint8Array }
  | { readonly kind: 'path-response'; readonly challenge: Uint8Array }
  /** Where the client is seen, and what proves a RESET as long as that is so. */
  | { readonly kind: 'observed'; readonly source: Endpoint; readonly resetToken: Uint8Array }
  /** The client has moved, by its own will. */
  | {
      readonly kind: 'move';
      readonly epoch: number;
      readonly source: Endpoint | undefined;
      readonly destination: Endpoint | undefined;
    }
  /** What was sent since the session began. */
  | {
      readonly kind: 'attest';
      readonly epoch: number;
      readonly packets: bigint;
      readonly bytes: bigint;
    }
  /** The largest inner packet that has come, or can come. */
  | { readonly kind: 'mtu'; readonly mtu: number }
  | { readonly kind: 'ping'; readonly id: number }
  | { readonly kind: 'pong'; readonly id: number };

type Kind = ControlMessage['kind'];

const TYPES: Readonly<Record<Kind, { readonly type: number; readonly length: number }>> = {
  'path-challenge': { type: 1, length: CHALLENGE_BYTES },
  'path-response': { type: 2, length: CHALLENGE_BYTES },
  observed: { type: 3, length: ENDPOINT_BYTES + RESET_TOKEN_BYTES },
  move: { type: 4, length: 2 + 2 * ENDPOINT_BYTES },
  attest: { type: 5, length: 20 },
  mtu: { type: 6, length: 2 },
  ping: { type: 7, length: 4 },
  pong: { type: 8, length: 4 },
};
const KINDS = new Map(
  Object.entries(TYPES).map(([kind, { type, length }]) => [
    type,
    { kind: kind as Kind, length } as const,
  ]),
);
const HEADER_BYTES = 2;

/** Throws RangeError for what does not fit. */
export function encodeMessages(messages: readonly ControlMessage[]): Uint8Array {
  return concatBytes(
    messages.map((message) => {
      const { type, length } = TYPES[message.kind];
      const fields = new FieldWriter(HEADER_BYTES + length).u8(type).u8(length);
      writeValue(fields, message);
      return fields.bytes;
    }),
  );
}

/** undefined for what is not well-formed to the last byte. */
export function decodeMessages(bytes: Uint8Array): readonly ControlMessage[] | undefined {
  const found = new Map<Kind, ControlMessage>();
  let at = 0;
  while (at < bytes.length && bytes[at] !== 0) {
    const length = bytes[at + 1];
    if (length === undefined) return undefined;
    const value = bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
    if (value.length < length) return undefined;
    const known = KINDS.get(bytes[at] ?? 0);
    at += HEADER_BYTES + length;
    if (!known) continue;
    if (known.length !== length || found.has(known.kind)) return undefined;
    const message = readValue(known.kind, new FieldReader(value));
    if (!message) return undefined;
    found.set(known.kind, message);
  }
  return bytes.subarray(at).some((byte) => byte !== 0) ? undefined : [...found.values()];
}

function writeValue(fields: FieldWriter, message: ControlMessage): void {
  switch (message.kind) {
    case 'path-challenge':
    case 'path-response':
      fields.exactly(CHALLENGE_BYTES, message.challenge);
      break;
    case 'observed':
      fields.endpoint(message.source).exactly(RESET_TOKEN_BYTES, message.resetToken);
      break;
    case 'move':
      fields.u16(message.epoch).endpoint(message.source).endpoint(message.destination);
      break;
    case 'attest':
      fields.u32(message.epoch).u64(message.packets).u64(message.bytes);
      break;
    case 'mtu':
      fields.u16(message.mtu);
      break;
    case 'ping':
    case 'pong':
      fields.u32(message.id);
      break;
  }
}

function readValue(kind: Kind, fields: FieldReader): ControlMessage | undefined {
  const message = readFields(kind, fields);
  return fields.malformed ? undefined : message;
}

function readFields(kind: Kind, fields: FieldReader): ControlMessage | undefined {
  switch (kind) {
    case 'path-challenge':
    case 'path-response':
      return { kind, challenge: fields.raw(CHALLENGE_BYTES) };
    case 'observed': {
      const source = fields.endpoint();
      return source && { kind, source, resetToken: fields.raw(RESET_TOKEN_BYTES) };
    }
    case 'move':
      return {
        kind,
        epoch: fields.u16(),
        source: fields.endpoint(),
        destination: fields.endpoint(),
      };
    case 'attest':
      return { kind, epoch: fields.u32(), packets: fields.u64(), bytes: fields.u64() };
    case 'mtu':
      return { kind, mtu: fields.u16() };
    case 'ping':
    case 'pong':
      break;
  }
  return { kind, id: fields.u32() };
}

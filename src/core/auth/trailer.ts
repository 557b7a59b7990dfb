/** What the fields of an authentication packet's trailer say; the table is at the head of v1.ts. */
import { concatBytes, encodeU16be, encodeU32be, encodeU8, getU16be, getU32be } from '../bytes.ts';
import { constantTimeEqual } from './bytes.ts';
import { KEY_BYTES } from '../public-key.ts';
import { decodeExtensions, EXTENSION, type Extension } from './extensions.ts';
import { NOTICES, type Notice } from './refusal.ts';
import { AUTH_V1_LENGTH } from './v1.ts';

/** Bytes of a key hint: the start of a public key. */
export const HINT_LENGTH = 8;
/** Where the hint stands in a packet of ours: it is the first field of the trailer. */
export const HINT_OFFSET = AUTH_V1_LENGTH + 3;
/** Bytes of what names a recipient or a request: the start of its key, of its signature. */
const BINDING_LENGTH = 8;
/** Lengths of packets by their trailers: key hint; hint and path MTU (both of ipipou 0.2). */
const HINTED_LENGTH = AUTH_V1_LENGTH + 3 + HINT_LENGTH + 1;
const REPORTING_LENGTH = HINTED_LENGTH + 3 + 2;
/** Hint and `to`, what requests are now; with a path MTU as well. */
export const AUTH_V1_REQUEST_LENGTH = HINTED_LENGTH + 3 + BINDING_LENGTH + 1;
export const AUTH_V1_REPORT_LENGTH = AUTH_V1_REQUEST_LENGTH + 3 + 2;
/** A request that registers a key. */
export const AUTH_V1_REGISTRATION_LENGTH = AUTH_V1_REQUEST_LENGTH + 3 + KEY_BYTES;
/** All lengths that are not padded to. */
export const AUTH_V1_LENGTHS: readonly number[] = [
  AUTH_V1_LENGTH,
  HINTED_LENGTH,
  REPORTING_LENGTH,
  AUTH_V1_REQUEST_LENGTH,
  AUTH_V1_REPORT_LENGTH,
];

/** The fields of a packet's trailer; none for what is no packet. Proves nothing. */
export function extensionsOf(payload: Uint8Array): readonly Extension[] {
  return decodeExtensions(payload.subarray(AUTH_V1_LENGTH));
}

/** The key hint that a packet carries; undefined where it has none. Proves nothing. */
export function hintOf(payload: Uint8Array): Uint8Array | undefined {
  return fieldOf(payload, EXTENSION.hint, HINT_LENGTH);
}

/** The path MTU that a packet reports; undefined where it has none. Proves nothing by itself. */
export function pathMtuOf(payload: Uint8Array): number | undefined {
  const report = fieldOf(payload, EXTENSION.pathMtu, 2);
  return report && getU16be(report, 0);
}

/** The public key that a packet registers; undefined where it registers none. Proves nothing by itself. */
export function registeredBy(payload: Uint8Array): Uint8Array | undefined {
  return fieldOf(payload, EXTENSION.register, KEY_BYTES);
}

/** Whom a request is for (undefined: whoever has the client's key), and what its sender understands. */
export type Addressing = { readonly key: Uint8Array | undefined; readonly heedsRefusals: boolean };

/** Bits of `to`'s last byte. */
const UNDERSTANDS_REFUSALS = 1;

/** Whom a packet is for; undefined where it does not say. Proves nothing by itself. */
export function addressingOf(payload: Uint8Array): Addressing | undefined {
  const to = fieldOf(payload, EXTENSION.to, BINDING_LENGTH + 1);
  if (to === undefined) return undefined;
  const key = to.subarray(0, BINDING_LENGTH);
  return {
    key: key.some((byte) => byte !== 0) ? key : undefined,
    heedsRefusals: ((to[BINDING_LENGTH] ?? 0) & UNDERSTANDS_REFUSALS) !== 0,
  };
}

/** Whether a packet for this recipient is one for whoever has this public key. */
export function isFor(key: Uint8Array, publicKey: Uint8Array): boolean {
  return constantTimeEqual(key, publicKey.subarray(0, BINDING_LENGTH));
}

/** The beginning of the request that a reply answers; undefined where it does not say. */
export function answeredBy(payload: Uint8Array): Uint8Array | undefined {
  return fieldOf(payload, EXTENSION.answers, BINDING_LENGTH);
}

/** What a reply must say to answer a request. */
export function nameOfRequest(request: Uint8Array): Uint8Array {
  return request.subarray(0, BINDING_LENGTH);
}

/** Why a reply says that its request is refused; undefined where it is a success. */
export function refusalIn(payload: Uint8Array): Notice | undefined {
  const told = fieldOf(payload, EXTENSION.refused, 5);
  if (told === undefined) return undefined;
  const reason = NOTICE_REASONS.find((word) => NOTICES[word] === told[0]);
  return { reason: reason ?? 'other', seconds: getU32be(told, 1) | 0 };
}

const NOTICE_REASONS: readonly (keyof typeof NOTICES)[] = ['clock', 'stale', 'taken-over'];

function fieldOf(payload: Uint8Array, type: number, length: number): Uint8Array | undefined {
  const value = extensionsOf(payload).find((field) => field.type === type)?.value;
  return value?.length === length ? value : undefined;
}

/** Fields of the trailer, by what they say. */
export const field = {
  hint: (publicKey: Uint8Array): Extension => ({
    type: EXTENSION.hint,
    value: hintOfKey(publicKey),
  }),
  /** 0..65535. */
  pathMtu: (mtu: number): Extension => ({ type: EXTENSION.pathMtu, value: encodeU16be(mtu) }),
  to: (key: Uint8Array | undefined): Extension => {
    const value = new Uint8Array(BINDING_LENGTH + 1);
    if (key) value.set(key.subarray(0, BINDING_LENGTH));
    value[BINDING_LENGTH] = UNDERSTANDS_REFUSALS;
    return { type: EXTENSION.to, value };
  },
  register: (publicKey: Uint8Array): Extension => ({ type: EXTENSION.register, value: publicKey }),
  answers: (request: Uint8Array): Extension => ({
    type: EXTENSION.answers,
    value: nameOfRequest(request),
  }),
  refused: ({ reason, seconds: count }: Notice): Extension => ({
    type: EXTENSION.refused,
    value: concatBytes([encodeU8(reason === 'other' ? 0 : NOTICES[reason]), encodeI32be(count)]),
  }),
};

/** Whole seconds, as many as 32 bits hold. */
function encodeI32be(value: number): Uint8Array {
  const most = 2 ** 31 - 1;
  return encodeU32be(Math.max(-most, Math.min(most, Math.trunc(value))) >>> 0);
}

/** Those of some fields, in their order, that fit a packet of `length` bytes; the first come first. */
export function fitting(length: number, fields: readonly Extension[]): readonly Extension[] {
  let room = length - AUTH_V1_LENGTH - 1;
  return fields.filter(({ value }) => {
    const fits = 3 + value.length <= room;
    if (fits) room -= 3 + value.length;
    return fits;
  });
}

/** The hint of a public key. */
export function hintOfKey(publicKey: Uint8Array): Uint8Array {
  return publicKey.subarray(0, HINT_LENGTH);
}

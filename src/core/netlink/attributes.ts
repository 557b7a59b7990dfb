/**
 * Netlink attributes (linux/netlink.h of 6.1, struct nlattr):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+---+---------------------------+
 *     | nla_len (host, with header)   |N B|   nla_type (14 bits, host) |
 *     +-------------------------------+---+---------------------------+
 *     | payload, padded with zeros to a multiple of 4                  |
 *
 * N is NLA_F_NESTED, B is NLA_F_NET_BYTEORDER. The padding does not count in nla_len.
 */
import { refuse, succeed, type Decoded } from '../result.ts';
import {
  concatBytes,
  encodeU16be,
  encodeU16host,
  encodeU32be,
  encodeU32host,
  encodeU64be,
  encodeU64host,
  encodeU8,
  getS32host,
  getU16be,
  getU16host,
  getU32be,
  getU32host,
  getU64be,
  getU64host,
  setU16host,
} from '../bytes.ts';

export const NLA_F_NESTED = 0x8000;
export const NLA_F_NET_BYTEORDER = 0x4000;
export const NLA_TYPE_MASK = 0x3fff;
export const NLA_HDRLEN = 4;

/** `length` rounded up to a multiple of four (NLA_ALIGN, NLMSG_ALIGN). */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

/** One attribute with its header and padding. Throws RangeError when the payload is too long for one (a bug). */
export function attrBytes(type: number, payload: Uint8Array): Uint8Array {
  const length = NLA_HDRLEN + payload.length;
  if (length > 0xffff) throw new RangeError(`attribute ${type} of ${payload.length} bytes`);
  const bytes = new Uint8Array(align4(length));
  setU16host(bytes, 0, length);
  setU16host(bytes, 2, type);
  bytes.set(payload, NLA_HDRLEN);
  return bytes;
}

export function attrU8(type: number, value: number): Uint8Array {
  return attrBytes(type, encodeU8(value));
}

export function attrU16host(type: number, value: number): Uint8Array {
  return attrBytes(type, encodeU16host(value));
}

export function attrU16be(type: number, value: number): Uint8Array {
  return attrBytes(type, encodeU16be(value));
}

export function attrU32host(type: number, value: number): Uint8Array {
  return attrBytes(type, encodeU32host(value));
}

export function attrU32be(type: number, value: number): Uint8Array {
  return attrBytes(type, encodeU32be(value));
}

export function attrU64host(type: number, value: bigint): Uint8Array {
  return attrBytes(type, encodeU64host(value));
}

export function attrU64be(type: number, value: bigint): Uint8Array {
  return attrBytes(type, encodeU64be(value));
}

/** UTF-8 text with its terminating zero. */
export function attrString(type: number, text: string): Uint8Array {
  return attrBytes(type, new TextEncoder().encode(`${text}\0`));
}

/** An attribute that says everything by being there. */
export function attrFlag(type: number): Uint8Array {
  return attrBytes(type, new Uint8Array(0));
}

/** A nest marked NLA_F_NESTED, as newer families demand and every family accepts. */
export function attrNested(type: number, children: readonly Uint8Array[]): Uint8Array {
  return attrBytes(type | NLA_F_NESTED, concatBytes(children));
}

/** A nest without the mark, as the older tools send it. */
export function attrNestedUnmarked(type: number, children: readonly Uint8Array[]): Uint8Array {
  return attrBytes(type, concatBytes(children));
}

export type Attribute = {
  /** Without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
  readonly type: number;
  /** A view into the decoded bytes. */
  readonly payload: Uint8Array;
};

/** Every attribute in order, repeated types included: for lists. */
export function decodeAttributeList(bytes: Uint8Array): Decoded<readonly Attribute[]> {
  const list: Attribute[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const left = bytes.length - offset;
    if (left < NLA_HDRLEN) return refuse(`${left} bytes after the last attribute`);
    const length = getU16host(bytes, offset);
    const type = getU16host(bytes, offset + 2) & NLA_TYPE_MASK;
    if (length < NLA_HDRLEN || length > left) {
      return refuse(`attribute ${type} says ${length} bytes where ${left} are left`);
    }
    list.push({ type, payload: bytes.subarray(offset + NLA_HDRLEN, offset + length) });
    offset += align4(length);
  }
  return succeed(list);
}

/** Attributes by type; of a repeated type the last, as the kernel takes it. */
export function decodeAttributes(bytes: Uint8Array): Decoded<ReadonlyMap<number, Uint8Array>> {
  const list = decodeAttributeList(bytes);
  return list.ok
    ? succeed(new Map(list.value.map((attribute) => [attribute.type, attribute.payload])))
    : list;
}

function exact<T>(
  bytes: Uint8Array,
  length: number,
  get: (bytes: Uint8Array, offset: number) => T,
): Decoded<T> {
  return bytes.length === length
    ? succeed(get(bytes, 0))
    : refuse(`${bytes.length} bytes where ${length} are due`);
}

export function decodeU8(bytes: Uint8Array): Decoded<number> {
  return exact(bytes, 1, (all) => all[0] ?? 0);
}

export function decodeU16host(bytes: Uint8Array): Decoded<number> {
  return exact(bytes, 2, getU16host);
}

export function decodeU16be(bytes: Uint8Array): Decoded<number> {
  return exact(bytes, 2, getU16be);
}

export function decodeU32host(bytes: Uint8Array): Decoded<number> {
  return exact(bytes, 4, getU32host);
}

export function decodeS32host(bytes: Uint8Array): Decoded<number> {
  return exact(bytes, 4, getS32host);
}

export function decodeU32be(bytes: Uint8Array): Decoded<number> {
  return exact(bytes, 4, getU32be);
}

export function decodeU64host(bytes: Uint8Array): Decoded<bigint> {
  return exact(bytes, 8, getU64host);
}

export function decodeU64be(bytes: Uint8Array): Decoded<bigint> {
  return exact(bytes, 8, getU64be);
}

/** Text up to its terminating zero, which must be the last byte; some families leave the zero out. */
export function decodeString(bytes: Uint8Array): Decoded<string> {
  const zero = bytes.indexOf(0);
  if (zero !== -1 && zero !== bytes.length - 1) return refuse('a zero inside text');
  return succeed(new TextDecoder().decode(zero === -1 ? bytes : bytes.subarray(0, zero)));
}

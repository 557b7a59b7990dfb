/**
 * What is tunnelled data, and what is not: said here, and nowhere else in TypeScript. The guard
 * (core/nft/guard-rules.ts) and the eBPF programs (bpf/decap.h) follow the same rule in their languages.
 *
 * Data is an inner IP packet. Authentication packets are random bytes of few lengths, and some of them
 * happen to begin like one, so that on an admitted path
 *
 * | payload                                            | verdict |
 * | -------------------------------------------------- | ------- |
 * | no IP packet of a family that the tunnel carries   | control |
 * | one whose length is the payload's                  | data    |
 * | one that is shorter, in a payload of an auth length | control |
 * | one that is shorter, in a payload of another length | data    |
 */
import { decodeInnerIpv4, decodeInnerIpv6, type InnerIp } from '../addr.ts';
import { getU16be } from '../bytes.ts';
import { IPV4_HEADER_LENGTH } from './ipv4.ts';
import { IPV6_HEADER_LENGTH } from './ipv6.ts';

/** Where a packet's source stands (RFC 791, section 3.1; RFC 8200, section 3). */
const IPV4_SOURCE_AT = 12;
const IPV6_SOURCE_AT = 8;

/** First halves of first bytes that inner packets have: their IP versions. */
const VERSIONS: ReadonlySet<number> = new Set([4, 6]);

/** Whether a payload that begins with this byte may be data. */
export function startsLikeData(firstByte: number | undefined): boolean {
  return firstByte !== undefined && VERSIONS.has(firstByte >> 4);
}

/**
 * The length of the IP packet at the beginning of `length` bytes from `at` on, by its own header;
 * undefined where there is none, or it would be longer than the payload. Without a checksum: it sorts
 * packets, it proves nothing.
 */
export function innerLength(bytes: Uint8Array, at: number, length: number): number | undefined {
  const first = bytes[at] ?? 0;
  if (first >> 4 === 4 && length >= IPV4_HEADER_LENGTH) {
    const header = (first & 15) * 4;
    const total = getU16be(bytes, at + 2);
    return header >= IPV4_HEADER_LENGTH && total >= header && total <= length ? total : undefined;
  }
  if (first >> 4 === 6 && length >= IPV6_HEADER_LENGTH) {
    const total = getU16be(bytes, at + 4) + IPV6_HEADER_LENGTH;
    return total <= length ? total : undefined;
  }
  return undefined;
}

/** Whether a payload is a whole inner packet and nothing else. Random bytes pass once in a million. */
export function isInnerPacket(payload: Uint8Array): boolean {
  return payload.length > 0 && innerLength(payload, 0, payload.length) === payload.length;
}

/** The source of a whole inner packet (isInnerPacket). */
export function innerSource(packet: Uint8Array): InnerIp {
  return (packet[0] ?? 0) >> 4 === 4
    ? decodeInnerIpv4(packet, IPV4_SOURCE_AT)
    : decodeInnerIpv6(packet, IPV6_SOURCE_AT);
}

/** The families whose packets a tunnel carries. */
export type Carried = { readonly ipv4: boolean; readonly ipv6: boolean };

/** What a tunnel carries that has inner addresses of IPv4 alone. */
export const IPV4_ALONE: Carried = { ipv4: true, ipv6: false };

/** Whether a payload begins with a packet of a family that the tunnel carries. */
export function looksLikeData(payload: Uint8Array, carried: Carried): boolean {
  return isCarried(payload, 0, carried) && innerLength(payload, 0, payload.length) !== undefined;
}

/**
 * Whether a packet from an admitted path is data by the table above. The payload is `length` of
 * `bytes`, from `at` on.
 */
export function isData(
  bytes: Uint8Array,
  at: number,
  length: number,
  authLengths: ReadonlySet<number>,
  carried: Carried,
): boolean {
  if (!isCarried(bytes, at, carried)) return false;
  const inner = innerLength(bytes, at, length);
  return inner !== undefined && (inner === length || !authLengths.has(length));
}

function isCarried(bytes: Uint8Array, at: number, carried: Carried): boolean {
  const version = (bytes[at] ?? 0) >> 4;
  return version === 4 ? carried.ipv4 : version === 6 && carried.ipv6;
}

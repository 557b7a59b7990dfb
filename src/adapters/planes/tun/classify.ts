import { looksLikeIpv4 } from '../../../core/wire/ipv4.ts';

/**
 * Whether a packet from an admitted path is data, or goes up to the session.
 *
 * | payload                                            | verdict |
 * | -------------------------------------------------- | ------- |
 * | no IPv4 packet                                     | control |
 * | IPv4, its total length is the payload's            | data    |
 * | IPv4, shorter than the payload, of an auth length  | control |
 * | IPv4, shorter than the payload, of another length  | data    |
 *
 * The third row is for signatures that happen to begin like an IPv4 header. `bytes` may be longer
 * than the payload; `length` says where that ends.
 */
export function isData(
  bytes: Uint8Array,
  length: number,
  authLengths: ReadonlySet<number>,
): boolean {
  if (!looksLikeIpv4(bytes, length)) return false;
  return innerTotalLength(bytes) === length || !authLengths.has(length);
}

/** Total length field of an IPv4 header (RFC 791, bytes 2 and 3). */
function innerTotalLength(packet: Uint8Array): number {
  return ((packet[2] ?? 0) << 8) | (packet[3] ?? 0);
}

/**
 * The internet checksum (RFC 1071): ones' complement of the ones' complement sum of 16-bit words in
 * network order. A partial sum is a plain number, so that headers and payloads that do not lie
 * together are summed part by part; every part but the last must be of even length.
 */
import { encodeIp, type Ip } from '../addr.ts';

/**
 * The partial sum of the pseudo header of a transport protocol (RFC 768; RFC 8200, section 8.1): addresses of
 * one family, protocol, and bytes of transport header and data. In sums of both families the rest is zero.
 */
export function pseudoHeaderSum(
  source: Ip,
  destination: Ip,
  protocol: number,
  length: number,
): number {
  return (
    addToChecksum(addToChecksum(0, encodeIp(source)), encodeIp(destination)) + protocol + length
  );
}

/** `sum` and the words of `bytes`; an odd last byte is the high half of a word. */
export function addToChecksum(sum: number, bytes: Uint8Array): number {
  let total = sum;
  const even = bytes.length & ~1;
  for (let at = 0; at < even; at += 2) {
    total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  }
  if (even !== bytes.length) total += (bytes[even] ?? 0) << 8;
  return total;
}

/** The checksum of a partial sum, 0..0xffff. */
export function finishChecksum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

/** The checksum of `bytes` after a partial sum; 0 over bytes that carry their own, right checksum. */
export function internetChecksum(bytes: Uint8Array, sum = 0): number {
  return finishChecksum(addToChecksum(sum, bytes));
}

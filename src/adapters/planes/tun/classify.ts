import { IPV4_HEADER_LENGTH } from '../../../core/wire/ipv4.ts';

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
 * The third row is for signatures that happen to begin like an IPv4 header. The payload is `length`
 * of `bytes`, from `at` on.
 */
export function isData(
  bytes: Uint8Array,
  at: number,
  length: number,
  authLengths: ReadonlySet<number>,
): boolean {
  if (length < IPV4_HEADER_LENGTH) return false;
  const versionIhl = bytes[at] ?? 0;
  const headerLength = (versionIhl & 0x0f) * 4;
  const totalLength = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  if (versionIhl >> 4 !== 4 || headerLength < IPV4_HEADER_LENGTH) return false;
  if (totalLength < headerLength || totalLength > length) return false;
  return totalLength === length || !authLengths.has(length);
}

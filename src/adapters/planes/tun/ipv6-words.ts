/**
 * IPv6 addresses as the forwarding thread has them: four words in host byte order, in the order in which their bytes
 * are, as a packet's memory is read. So nothing is swapped, and prefixes are compared by masks of the same kind.
 */
import { encodeIp, type Ip } from '../../../core/addr.ts';
import { encodeU32be, getU32host } from '../../../core/bytes.ts';

/** Words of an address. */
export const IPV6_WORDS = 4;
/** Words of the network that is one source (core/source-key.ts): a /64. */
export const NETWORK_WORDS = 2;

export function ipv6Words(address: Ip): Uint32Array {
  return hostWords(encodeIp(address));
}

/** The mask of a prefix of `length` bits, 0..128. */
export function ipv6Mask(length: number): Uint32Array {
  const mask = new Uint32Array(IPV6_WORDS);
  for (let index = 0; index < IPV6_WORDS; index += 1) {
    const bits = Math.min(32, Math.max(0, length - 32 * index));
    // A shift by 32 shifts by nothing.
    const word = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0;
    mask[index] = getU32host(encodeU32be(word), 0);
  }
  return mask;
}

/** Whole words of bytes, in host byte order. */
export function hostWords(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(bytes.length / 4);
  for (let index = 0; index < words.length; index += 1) words[index] = getU32host(bytes, index * 4);
  return words;
}

export function sameWords(one: Uint32Array, other: Uint32Array): boolean {
  for (let index = 0; index < IPV6_WORDS; index += 1) {
    if (one[index] !== other[index]) return false;
  }
  return true;
}

/** The word at `at` of a mask for the first word, or of an address. */
const word = (value: number): number => getU32host(encodeU32be(value), 0);
const FIRST_BYTE = word(0xff00_0000);
const TEN_BITS = word(0xffc0_0000);
const LINK_LOCAL = word(0xfe80_0000);
const MAPPED = word(0x0000_ffff);

/** ff00::/8 (RFC 4291, section 2.7). */
export function isMulticast(address: Uint32Array): boolean {
  return ((address[0] ?? 0) & FIRST_BYTE) === (FIRST_BYTE | 0);
}

/** fe80::/10 (RFC 4291, section 2.5.6). */
export function isLinkLocal(address: Uint32Array): boolean {
  return ((address[0] ?? 0) & TEN_BITS) === (LINK_LOCAL | 0);
}

/**
 * Whether an address is of those that begin with 64 zeros and 0 or ffff: an IPv4 address in the clothes of IPv6
 * (RFC 4291, section 2.5.5), the loopback address, or none. Nothing that comes over a network may have one.
 */
export function isReserved(address: Uint32Array): boolean {
  return address[0] === 0 && address[1] === 0 && (address[2] === 0 || address[2] === MAPPED);
}

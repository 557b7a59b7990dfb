/**
 * IPv6 addresses as the forwarding thread has them: four words in host byte order, in the order in which their bytes
 * are, as a packet's memory is read. So nothing is swapped, and prefixes are compared by masks of the same kind.
 */
import { encodeIp, type Ip } from '../../../core/addr.ts';
import { encodeU32be, getU32host } from '../../../core/bytes.ts';

/** Words of an address. */
export const IPV6_WORDS = 4;
/** Words of the network that is one source (core/session/source-key.ts): a /64. */
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

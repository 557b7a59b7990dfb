/**
 * The internet checksum (RFC 1071) at the speed of a data path. Sums are ones' complement sums of
 * 16-bit words in the host's byte order: the sum is the same in either order but for the order of its
 * own bytes (section 2, B), so nothing is swapped while summing, and a sum is stored as it is.
 */
import { HOST_IS_LITTLE_ENDIAN } from '../../../core/bytes.ts';
import type { Arena } from './arena.ts';
import { VECTOR_ROUND_BYTES } from './vector-sum.ts';

/** Ones' complement sum, 0..0xffff, of up to 64 KiB from `start`, as if `start` began a word. */
export function sumBytes(arena: Arena, start: number, length: number): number {
  if (!arena.vectorSum || length < VECTOR_ROUND_BYTES) return sumScalar(arena, start, length);
  const end = start + length - (length % VECTOR_ROUND_BYTES);
  const vector = arena.vectorSum(start, end) >>> 0;
  return fold(vector + sumScalar(arena, end, start + length - end));
}

function sumScalar(arena: Arena, start: number, length: number): number {
  const end = start + length;
  let at = start;
  let sum = 0;
  if (at & 1 && at < end) {
    // Words are counted from the byte before; the sum's bytes are swapped in the end.
    sum += laterByte(arena.bytes[at] ?? 0);
    at += 1;
  }
  if (at & 2 && at + 2 <= end) {
    sum += arena.u16[at >> 1] ?? 0;
    at += 2;
  }
  const words = (end - at) >> 2;
  sum += sumWords(arena.u32, at >> 2, words);
  at += words * 4;
  if (at + 2 <= end) {
    sum += arena.u16[at >> 1] ?? 0;
    at += 2;
  }
  if (at < end) sum += earlierByte(arena.bytes[at] ?? 0);
  const folded = fold(sum);
  return start & 1 ? swap16(folded) : folded;
}

/** Sum of 32-bit words, exact: at most 2^14 of them, so far below 2^53. Four chains, not one. */
function sumWords(words: Uint32Array, start: number, count: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let at = start;
  const end = start + count;
  for (; at + 4 <= end; at += 4) {
    a += words[at] ?? 0;
    b += words[at + 1] ?? 0;
    c += words[at + 2] ?? 0;
    d += words[at + 3] ?? 0;
  }
  for (; at < end; at += 1) a += words[at] ?? 0;
  return a + b + c + d;
}

/** A sum of any words below 2^53, as 16 bits with the carries added in. */
export function fold(sum: number): number {
  let low = (sum >>> 0) + Math.floor(sum / 0x1_0000_0000);
  low = (low & 0xffff) + Math.floor(low / 0x10000);
  low = (low & 0xffff) + (low >>> 16);
  return (low & 0xffff) + (low >>> 16);
}

/** A big-endian 16-bit value as it counts in a sum. */
export const word16: (value: number) => number = HOST_IS_LITTLE_ENDIAN ? swap16 : (value) => value;

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}

/** A byte as the first of a word, and as the second. */
const earlierByte: (byte: number) => number = HOST_IS_LITTLE_ENDIAN ? (b) => b : (b) => b << 8;
const laterByte: (byte: number) => number = HOST_IS_LITTLE_ENDIAN ? (b) => b << 8 : (b) => b;

/**
 * NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: "UMAC: Fast and Secure Message Authentication") over little-endian
 * 32-bit words, in two Toeplitz passes: the second uses the same key from its third word on. Words m and key words k:
 *
 *     x = sum of (m[i] + k[i]) * (m[i+1] + k[i+1])          i even; + modulo 2^32, sum and * modulo 2^64
 *     y = sum of (m[i] + k[i+2]) * (m[i+1] + k[i+3])
 *
 * A product of 32-bit words is kept in two numbers below 2^48, one for each half of a factor; numbers are exact up to
 * 2^53, so the sums of a round need no carry.
 */
import { setU32le } from '../bytes.ts';

/** What is hashed is filled up with zeros to whole rounds. */
export const NH_ROUND_LENGTH = 64;

/** Bytes of x and y. */
export const NH_LENGTH = 16;

/** Between the passes, bytes of key. */
export const NH_SHIFT = 8;

/**
 * Writes x and y, low bytes first. `key` begins with the words of NH and is NH_SHIFT bytes longer at least than whole
 * rounds of `message`.
 */
export function nh(key: Uint8Array, message: Uint8Array, into: Uint8Array, at: number): void {
  const rounds = Math.max(1, Math.ceil(message.length / NH_ROUND_LENGTH));
  for (const [place, shift] of [
    [at, 0],
    [at + 8, NH_SHIFT],
  ] as const) {
    const sum: Sum = { low: 0, high: 0 };
    for (let round = 0; round < rounds; round += 1) {
      addRound(sum, message, round * NH_ROUND_LENGTH, key, round * NH_ROUND_LENGTH + shift);
    }
    setU32le(into, place, sum.low);
    setU32le(into, place + 4, sum.high);
  }
}

type Sum = { low: number; high: number };

function addRound(
  sum: Sum,
  message: Uint8Array,
  from: number,
  key: Uint8Array,
  keyFrom: number,
): void {
  let lower = 0;
  let upper = 0;
  for (let at = 0; at < NH_ROUND_LENGTH; at += 8) {
    const a = (word(message, from + at) + word(key, keyFrom + at)) >>> 0;
    const b = (word(message, from + at + 4) + word(key, keyFrom + at + 4)) >>> 0;
    lower += (a & 0xffff) * b;
    upper += (a >>> 16) * b;
  }
  const low = sum.low + (lower >>> 0) + (upper % 0x1_0000) * 0x1_0000;
  const carried = Math.floor(low / 0x1_0000_0000);
  const high = Math.floor(lower / 0x1_0000_0000) + Math.floor(upper / 0x1_0000);
  sum.low = low >>> 0;
  sum.high = (sum.high + high + carried) >>> 0;
}

/** Behind the end there are zeros. */
function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  );
}

/*
 * The birational maps between the curves of ed25519 and X25519 (RFC 7748, 4.1): one key serves both. All that is
 * worked on here is public, so it may take a time that depends on it. Numbers are bytes with the low byte first.
 */

const BITS = 255n;
const P = (1n << BITS) - 19n;
const MASK = (1n << BITS) - 1n;

/**
 * The X25519 public key of an ed25519 one: u = (1 + y) / (1 - y). undefined for what is no number of the field, and
 * for the point that has none (y = 1).
 */
export function montgomeryOf(edwards: Uint8Array): Uint8Array | undefined {
  const y = decode(edwards);
  if (y === undefined || y === 1n) return undefined;
  return encode((1n + y) * inverse(1n - y + P));
}

/**
 * The ed25519 public key of an X25519 one, but for its highest bit, which is 0: y = (u - 1) / (u + 1). undefined
 * as above (u = -1).
 */
export function edwardsYOf(montgomery: Uint8Array): Uint8Array | undefined {
  const u = decode(montgomery);
  if (u === undefined || u === P - 1n) return undefined;
  return encode((u - 1n + P) * inverse(u + 1n));
}

/** By Euclid's algorithm. */
function inverse(value: bigint): bigint {
  let [high, low] = [P, value % P];
  let [before, factor] = [0n, 1n];
  while (low !== 0n) {
    const quotient = high / low;
    [high, low] = [low, high - quotient * low];
    [before, factor] = [factor, before - quotient * factor];
  }
  return before < 0n ? before + P : before;
}

/** The highest bit, a sign, counts for nothing. */
function decode(bytes: Uint8Array): bigint | undefined {
  if (bytes.length !== 32) return undefined;
  const { buffer } = Uint8Array.from(bytes);
  const words = new DataView(buffer);
  let value = 0n;
  for (let at = 24; at >= 0; at -= 8) value = (value << 64n) | words.getBigUint64(at, true);
  value &= MASK;
  return value < P ? value : undefined;
}

function encode(value: bigint): Uint8Array {
  const bytes = new Uint8Array(32);
  const words = new DataView(bytes.buffer);
  let rest = value % P;
  for (let at = 0; at < 32; at += 8) {
    words.setBigUint64(at, rest & 0xffff_ffff_ffff_ffffn, true);
    rest >>= 64n;
  }
  return bytes;
}

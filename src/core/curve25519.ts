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

/**
 * By Euclid's algorithm in Lehmer's way (Knuth, The Art of Computer Programming 2, 4.5.2, algorithm L): most quotients
 * are found by the first LEADING bits alone, in ordinary numbers, and some twenty steps are made at once.
 */
export function inverse(value: bigint): bigint {
  let [high, low] = [P, value % P];
  let [before, factor] = [0n, 1n];
  while (low !== 0n) {
    const [a, b, c, d] = stepsOf(high, low);
    [high, low] = [a * high + b * low, c * high + d * low];
    [before, factor] = [a * before + b * factor, c * before + d * factor];
  }
  const rest = before % P;
  return rest < 0n ? rest + P : rest;
}

/** Sums of these, and products with a quotient, are exact in ordinary numbers. */
const LEADING = 50;

/** Some steps of Euclid's algorithm, one at least: the next two are a·high + b·low and c·high + d·low. */
function stepsOf(high: bigint, low: bigint): readonly [bigint, bigint, bigint, bigint] {
  const shift = BigInt(Math.max(0, Math.floor(Math.log2(Number(high))) + 1 - LEADING));
  let [x, y] = [Number(high >> shift), Number(low >> shift)];
  let [a, b, c, d] = [1, 0, 0, 1];
  while (y + c !== 0 && y + d !== 0) {
    const quotient = Math.floor((x + a) / (y + c));
    if (quotient !== Math.floor((x + b) / (y + d))) break;
    [a, c] = [c, a - quotient * c];
    [b, d] = [d, b - quotient * d];
    [x, y] = [y, x - quotient * y];
  }
  return b === 0 ? [0n, 1n, 1n, -(high / low)] : [BigInt(a), BigInt(b), BigInt(c), BigInt(d)];
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

/*
 * SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"), with results of 8 and of 16 bytes. Its
 * 64-bit words are pairs of 32-bit halves in local variables, since this runs for every packet.
 */

import { setU32le } from './bytes.ts';

/** Bytes of a key. */
export const SIPHASH_KEY_BYTES = 16;

/** The 8 bytes of SipHash-2-4-64 over a message, low byte first, written to `out` at `at`. */
export function sipHash64(
  key: Uint8Array,
  message: Uint8Array,
  out: Uint8Array = new Uint8Array(8),
  at = 0,
): Uint8Array {
  return hash(key, message, out, at, false);
}

/** The 16 bytes of SipHash-2-4-128. */
export function sipHash128(key: Uint8Array, message: Uint8Array): Uint8Array {
  return hash(key, message, new Uint8Array(16), 0, true);
}

/** One loop over all words, of the message first, then those of 4 rounds that end the hash. */
function hash(
  key: Uint8Array,
  message: Uint8Array,
  out: Uint8Array,
  at: number,
  long: boolean,
): Uint8Array {
  const k0l = word(key, 0);
  const k0h = word(key, 4);
  const k1l = word(key, 8);
  const k1h = word(key, 12);
  let v0l = k0l ^ 0x70736575;
  let v0h = k0h ^ 0x736f6d65;
  let v1l = k1l ^ 0x6e646f6d ^ (long ? 0xee : 0);
  let v1h = k1h ^ 0x646f7261;
  let v2l = k0l ^ 0x6e657261;
  let v2h = k0h ^ 0x6c796765;
  let v3l = k1l ^ 0x79746573;
  let v3h = k1h ^ 0x74656462;
  const { length } = message;
  const whole = length >>> 3;
  const steps = whole + (long ? 3 : 2);
  for (let step = 0; step < steps; step += 1) {
    let ml = 0;
    let mh = 0;
    let rounds = 2;
    if (step < whole) {
      ml = word(message, step * 8);
      mh = word(message, step * 8 + 4);
    } else if (step === whole) {
      mh = length << 24;
      for (let i = whole * 8; i < length; i += 1) {
        const byte = message[i] as number; // within the message
        const shift = (i & 3) * 8;
        if ((i & 7) < 4) ml |= byte << shift;
        else mh |= byte << shift;
      }
    } else {
      rounds = 4;
      if (step === whole + 1) v2l ^= long ? 0xee : 0xff;
      else v1l ^= 0xdd;
    }
    v3l ^= ml;
    v3h ^= mh;
    for (let round = 0; round < rounds; round += 1) {
      let l = (v0l + v1l) | 0;
      v0h = (v0h + v1h + (l >>> 0 < v1l >>> 0 ? 1 : 0)) | 0;
      v0l = l;
      let h = ((v1h << 13) | (v1l >>> 19)) ^ v0h;
      v1l = ((v1l << 13) | (v1h >>> 19)) ^ v0l;
      v1h = h;
      h = v0h;
      v0h = v0l;
      v0l = h;

      l = (v2l + v3l) | 0;
      v2h = (v2h + v3h + (l >>> 0 < v3l >>> 0 ? 1 : 0)) | 0;
      v2l = l;
      h = ((v3h << 16) | (v3l >>> 16)) ^ v2h;
      v3l = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
      v3h = h;

      l = (v0l + v3l) | 0;
      v0h = (v0h + v3h + (l >>> 0 < v3l >>> 0 ? 1 : 0)) | 0;
      v0l = l;
      h = ((v3h << 21) | (v3l >>> 11)) ^ v0h;
      v3l = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
      v3h = h;

      l = (v2l + v1l) | 0;
      v2h = (v2h + v1h + (l >>> 0 < v1l >>> 0 ? 1 : 0)) | 0;
      v2l = l;
      h = ((v1h << 17) | (v1l >>> 15)) ^ v2h;
      v1l = ((v1l << 17) | (v1h >>> 15)) ^ v2l;
      v1h = h;
      h = v2h;
      v2h = v2l;
      v2l = h;
    }
    v0l ^= ml;
    v0h ^= mh;
    if (step > whole) {
      const place = at + 8 * (step - whole - 1);
      setU32le(out, place, v0l ^ v1l ^ v2l ^ v3l);
      setU32le(out, place + 4, v0h ^ v1h ^ v2h ^ v3h);
    }
  }
  return out;
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) | // callers keep within the length
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

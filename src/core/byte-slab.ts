/** Bytes of a slab. It lives as long as anything that was cut from it. */
const SLAB_LENGTH = 4096;

let slab = new Uint8Array(0);
let used = 0;

/**
 * Zeroes of a length, for what is kept of every peer: an array with a buffer of its own costs 380 bytes
 * besides its contents, one that is cut from a larger one 100. Nothing is cut twice.
 */
export function cutBytes(length: number): Uint8Array {
  if (length > SLAB_LENGTH / 4) return new Uint8Array(length);
  if (used + length > slab.length) {
    slab = new Uint8Array(SLAB_LENGTH);
    used = 0;
  }
  used += length;
  return slab.subarray(used - length, used);
}

/** A copy with the bytes in reverse order: the unsigned reply to a request. */
export function reverseBytes(bytes: Uint8Array): Uint8Array {
  return bytes.toReversed();
}

/**
 * Whether two arrays hold the same bytes, in a time that depends on the length of `actual` alone:
 * neither the place of a difference nor the length of `expected` shows in it.
 */
export function constantTimeEqual(actual: Uint8Array, expected: Uint8Array): boolean {
  let difference = actual.length ^ expected.length;
  for (let i = 0; i < actual.length; i++) {
    difference |= (actual[i] ?? 0) ^ (expected[i] ?? 0);
  }
  return difference === 0;
}

/**
 * FNV-1a, 32 bits, as eight hexadecimal digits. Tells a changed key from an unchanged one; no
 * protection against anybody, and too short to give a secret away.
 */
export function formatChecksum(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

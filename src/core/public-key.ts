import { formatBase64, parseBase64 } from './base64.ts';
import type { Brand } from './units.ts';

/** Of a key, public or private (seed): RFC 8032, 5.1.5. */
export const KEY_BYTES = 32;

/**
 * An ed25519 public key (RFC 8032) in base64, as configs have it. Text, so that keys are map keys and
 * compare with `===`, and because one is kept for every peer: an array of its bytes takes twice as much.
 */
export type PublicKey = Brand<string, 'PublicKey'>;

/** The key that a text spells; undefined when it is none. */
export function parsePublicKey(text: string): PublicKey | undefined {
  return parseBase64(text)?.length === KEY_BYTES ? (text as PublicKey) : undefined;
}

/** Throws RangeError for anything but 32 bytes. */
export function decodePublicKey(bytes: Uint8Array): PublicKey {
  if (bytes.length !== KEY_BYTES) {
    throw new RangeError(`a public key of ${bytes.length} bytes`);
  }
  return formatBase64(bytes) as PublicKey;
}

/** A key as its 32 bytes. */
export function encodePublicKey(key: PublicKey): Uint8Array {
  const bytes = parseBase64(key);
  if (bytes === undefined) throw new TypeError(`${key} is no public key`);
  return bytes;
}

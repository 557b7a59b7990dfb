import { cutBytes } from './byte-slab.ts';

/** RFC 4648, section 4: the standard alphabet, padded. */
const groups = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** The six bits of each character, by its code. */
const SIX_BITS = Uint8Array.from({ length: 128 }, (_, code) => {
  return Math.max(0, ALPHABET.indexOf(String.fromCharCode(code)));
});

/**
 * The bytes that a base64 text spells; undefined for anything that an encoder would not have
 * written: missing padding, blanks, the URL alphabet, stray bits in the last character.
 */
export function parseBase64(text: string): Uint8Array | undefined {
  if (!groups.test(text)) return undefined;
  const padding = text.endsWith('==') ? 2 : Number(text.endsWith('='));
  const bytes = cutBytes((text.length / 4) * 3 - padding);
  let at = 0;
  let bits = 0;
  let count = 0;
  for (let index = 0; index < text.length - padding; index += 1) {
    bits = ((bits << 6) | (SIX_BITS[text.charCodeAt(index)] ?? 0)) & 0xfff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[at] = bits >> count;
    at += 1;
  }
  const stray = bits & ((1 << count) - 1);
  return stray === 0 ? bytes : undefined;
}

export function formatBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

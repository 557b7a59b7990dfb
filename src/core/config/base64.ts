/** RFC 4648, section 4: the standard alphabet, padded. */
const groups = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The bytes that a base64 text spells; undefined for anything that an encoder would not have
 * written: missing padding, blanks, the URL alphabet, stray bits in the last character.
 */
export function parseBase64(text: string): Uint8Array | undefined {
  if (!groups.test(text)) return undefined;
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return formatBase64(bytes) === text ? bytes : undefined;
}

export function formatBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/**
 * The codec of the typed fields that may stand behind an authentication packet's salt; where they
 * stand and what they mean is told at the head of v1.ts.
 */
import { concatBytes, encodeU16be, encodeU8, getU16be } from '../bytes.ts';

/** Types of fields. Others are skipped. */
export const EXTENSION = {
  ...{ pad: 0, hint: 1, pathMtu: 2, to: 3, answers: 4, refused: 5 },
  ...{ register: 6 },
} as const;

/** Fields in one packet beyond which it counts as having none. */
export const EXTENSIONS_MAX = 16;

/** Bytes of type and length. */
const HEADER_LENGTH = 3;

export type Extension = { readonly type: number; readonly value: Uint8Array };

/** Fields in their order, closed by one byte of padding; nothing for none. */
export function encodeExtensions(extensions: readonly Extension[]): Uint8Array {
  if (extensions.length === 0) return new Uint8Array();
  const parts = extensions.flatMap(({ type, value }) => [
    encodeU8(type),
    encodeU16be(value.length),
    value,
  ]);
  return concatBytes([...parts, encodeU8(EXTENSION.pad)]);
}

/**
 * The fields of a trailer, as views of it, without padding. Whatever is not well-formed to the last
 * byte has none: a signed trailer of anybody else's making is no failure.
 */
export function decodeExtensions(bytes: Uint8Array): readonly Extension[] {
  const found: Extension[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const type = bytes[offset] ?? 0;
    if (type === EXTENSION.pad) {
      offset += 1;
      continue;
    }
    const begin = offset + HEADER_LENGTH;
    if (begin > bytes.length) return [];
    const end = begin + getU16be(bytes, offset + 1);
    if (end > bytes.length || found.length === EXTENSIONS_MAX) return [];
    found.push({ type, value: bytes.subarray(begin, end) });
    offset = end;
  }
  return found;
}

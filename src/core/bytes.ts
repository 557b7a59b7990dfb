/**
 * Numbers in bytes, each with its byte order in its name. Netlink headers and most attributes are in
 * the host's order; addresses and ports are in the network's.
 */

/** Whether this machine stores the low byte first. */
export const HOST_IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function getU16be(bytes: Uint8Array, offset: number): number {
  return viewOf(bytes).getUint16(offset, false);
}

export function getU16host(bytes: Uint8Array, offset: number): number {
  return viewOf(bytes).getUint16(offset, HOST_IS_LITTLE_ENDIAN);
}

export function getU32be(bytes: Uint8Array, offset: number): number {
  return viewOf(bytes).getUint32(offset, false);
}

export function getU32host(bytes: Uint8Array, offset: number): number {
  return viewOf(bytes).getUint32(offset, HOST_IS_LITTLE_ENDIAN);
}

export function getS32host(bytes: Uint8Array, offset: number): number {
  return viewOf(bytes).getInt32(offset, HOST_IS_LITTLE_ENDIAN);
}

export function getU64be(bytes: Uint8Array, offset: number): bigint {
  return viewOf(bytes).getBigUint64(offset, false);
}

export function getU64host(bytes: Uint8Array, offset: number): bigint {
  return viewOf(bytes).getBigUint64(offset, HOST_IS_LITTLE_ENDIAN);
}

export function encodeU8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

/** Byte by byte, since making a view costs more than the whole of a small message. */
export function setU16be(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >> 8;
  bytes[offset + 1] = value;
}

export function setU16le(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >> 8;
}

export function setU32be(bytes: Uint8Array, offset: number, value: number): void {
  setU16be(bytes, offset, value >>> 16);
  setU16be(bytes, offset + 2, value);
}

export function setU32le(bytes: Uint8Array, offset: number, value: number): void {
  setU16le(bytes, offset, value);
  setU16le(bytes, offset + 2, value >>> 16);
}

export const setU16host = HOST_IS_LITTLE_ENDIAN ? setU16le : setU16be;
export const setU32host = HOST_IS_LITTLE_ENDIAN ? setU32le : setU32be;

export function encodeU16be(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  setU16be(bytes, 0, value);
  return bytes;
}

export function encodeU16host(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  setU16host(bytes, 0, value);
  return bytes;
}

export function encodeU32be(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  setU32be(bytes, 0, value);
  return bytes;
}

export function encodeU32host(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  setU32host(bytes, 0, value);
  return bytes;
}

export function encodeU64be(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value, false);
  return bytes;
}

export function encodeU64host(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value, HOST_IS_LITTLE_ENDIAN);
  return bytes;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

import { HOST_IS_LITTLE_ENDIAN, viewOf } from '../../../core/bytes.ts';

/** A C type; a number is an array (or a struct) of so many bytes. */
export type FieldType = 'u8' | 'u16' | 'u32' | 'u64' | 'be16' | 'be32' | number;

const SIZES = { u8: 1, u16: 2, u32: 4, u64: 8, be16: 2, be32: 4 } as const;

export type Layout<Name extends string = string> = {
  readonly size: number;
  readonly fields: Readonly<
    Record<Name, { readonly type: FieldType; readonly offset: number; readonly size: number }>
  >;
};

/**
 * Offsets of a C struct's fields. Structs with holes are refused (a bug): every field of ours is at a
 * multiple of its size, arrays at any byte.
 */
export function structLayout<const Fields extends Readonly<Record<string, FieldType>>>(
  types: Fields,
): Layout<keyof Fields & string> {
  let offset = 0;
  const fields = Object.fromEntries(
    Object.entries(types).map(([name, type]) => {
      const size = typeof type === 'number' ? type : SIZES[type];
      if (typeof type !== 'number' && offset % size !== 0) throw new RangeError(`hole at ${name}`);
      const field = { type, offset, size };
      offset += size;
      return [name, field];
    }),
  );
  return { size: offset, fields: fields as Layout<keyof Fields & string>['fields'] };
}

/** Values of fields: numbers, 64-bit ones as bigint, addresses and arrays as bytes. */
export type FieldValue = number | bigint | Uint8Array;

/** A struct's bytes; fields that are not given are zero. */
export function encodeStruct<Name extends string>(
  layout: Layout<Name>,
  values: { readonly [K in Name]?: FieldValue },
): Uint8Array {
  const bytes = new Uint8Array(layout.size);
  const view = viewOf(bytes);
  for (const [name, value] of Object.entries<FieldValue | undefined>(values)) {
    if (value === undefined) continue;
    const { type, offset, size } = layout.fields[name as Name];
    if (typeof value === 'object') {
      if (value.length !== size) throw new RangeError(`${name}: ${value.length} bytes`);
      bytes.set(value, offset);
    } else if (type === 'u64') view.setBigUint64(offset, BigInt(value), HOST_IS_LITTLE_ENDIAN);
    else if (type === 'u32') view.setUint32(offset, Number(value), HOST_IS_LITTLE_ENDIAN);
    else if (type === 'u16') view.setUint16(offset, Number(value), HOST_IS_LITTLE_ENDIAN);
    else if (type === 'be32') view.setUint32(offset, Number(value), false);
    else if (type === 'be16') view.setUint16(offset, Number(value), false);
    else if (type === 'u8') view.setUint8(offset, Number(value));
    else throw new RangeError(`${name} takes bytes`);
  }
  return bytes;
}

/** A number of up to 32 bits out of a struct. */
export function readNumber<Name extends string>(
  layout: Layout<Name>,
  bytes: Uint8Array,
  name: Name,
): number {
  const { type, offset } = layout.fields[name];
  const view = viewOf(bytes);
  if (type === 'u32') return view.getUint32(offset, HOST_IS_LITTLE_ENDIAN);
  if (type === 'u16') return view.getUint16(offset, HOST_IS_LITTLE_ENDIAN);
  if (type === 'be32') return view.getUint32(offset, false);
  if (type === 'be16') return view.getUint16(offset, false);
  if (type === 'u8') return view.getUint8(offset);
  throw new RangeError(`${name} is no number`);
}

/** A 64-bit number out of a struct. */
export function readBigint<Name extends string>(
  layout: Layout<Name>,
  bytes: Uint8Array,
  name: Name,
): bigint {
  const { type, offset } = layout.fields[name];
  if (type !== 'u64') throw new RangeError(`${name} is no 64-bit number`);
  return viewOf(bytes).getBigUint64(offset, HOST_IS_LITTLE_ENDIAN);
}

/** The bytes of a field, as a view. */
export function readBytes<Name extends string>(
  layout: Layout<Name>,
  bytes: Uint8Array,
  name: Name,
): Uint8Array {
  const { offset, size } = layout.fields[name];
  return bytes.subarray(offset, offset + size);
}

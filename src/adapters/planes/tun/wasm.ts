/**
 * What WebAssembly functions are written with here: instructions as bytes, and what is around them (WebAssembly core
 * specification 2.0, chapter 5, of which the names are). Functions work on the memory that packets lie in, so nothing
 * is copied to call one.
 */

/** Instructions, or a part of a module. */
export type Code = readonly number[];

export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;

export const END = 0x0b;
export const BR_IF_0: Code = [0x0d, 0];
export const I32_ADD = 0x6a;
export const I32_SUB = 0x6b;
export const I32_LT_U = 0x49;
export const I32_GT_U = 0x4b;
export const I32_LE_U = 0x4d;
export const I32_GE_U = 0x4f;
export const I64_EQ = 0x51;
export const I64_ADD = 0x7c;
export const I64_OR = 0x84;
export const I64_XOR = 0x85;
export const I64_ROTL = 0x89;
export const I64_EXTEND_I32_U = 0xad;
/** Without any alignment, at the address itself. */
export const I64_STORE: Code = [0x37, 0, 0];

export const localGet = (local: number): Code => [0x20, local];
export const localSet = (local: number): Code => [0x21, local];
export const localTee = (local: number): Code => [0x22, local];
export const i32Const = (value: number): Code => [0x41, ...signed(BigInt(value))];
export const i64Const = (value: bigint): Code => [0x42, ...signed(BigInt.asIntN(64, value))];
/** Without any alignment. */
export const i64Load = (local: number, offset: number): Code => [
  ...localGet(local),
  ...[0x29, 0, ...unsigned(offset)],
];

export const block = (...code: readonly Code[]): Code => [0x02, 0x40, ...code.flat(), END];
export const loop = (...code: readonly Code[]): Code => [0x03, 0x40, ...code.flat(), END];
export const ifTrue = (...code: readonly Code[]): Code => [0x04, 0x40, ...code.flat(), END];

/** An instruction of the vector kind, with what it is about. */
export const vector = (instruction: number, ...about: readonly number[]): Code => [
  0xfd,
  ...unsigned(instruction),
  ...about,
];
/** Without any alignment. */
export const vectorLoad = (local: number, offset: number): Code => [
  ...localGet(local),
  ...vector(0x00, 0, ...unsigned(offset)),
];
export const V128_CONST = 0x0c;
export const I8X16_SHUFFLE = 0x0d;
export const I8X16_SPLAT = vector(0x0f);
export const I8X16_LT_U = vector(0x26);
export const V128_AND = vector(0x4e);
export const I32X4_ADD = vector(0xae);
export const I32X4_EXTADD_PAIRWISE_I16X8_U = vector(0x7f);
export const I64X2_ADD = vector(0xce);
export const I64X2_EXTMUL_LOW_I32X4_U = vector(0xde);
export const I64X2_EXTMUL_HIGH_I32X4_U = vector(0xdf);
export const i32x4ExtractLane = (lane: number): Code => vector(0x1b, lane);
export const i64x2ExtractLane = (lane: number): Code => vector(0x1d, lane);

/** How many locals of which type, group by group, and then the code of a function that takes and returns i32. */
export type WasmFunction = {
  readonly parameters: number;
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly code: Code;
};

/** A module that exports one function, `f`, over a memory that it is given, `m` of `a`. */
export function moduleOf({ parameters, locals, code }: WasmFunction): Uint8Array {
  const body = [locals.length, ...locals.flat(), ...code, END];
  const type = [0x60, ...counted(Array.from({ length: parameters }, () => I32)), 1, I32];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, ...type]),
    ...section(2, [1, ...name('a'), ...name('m'), 0x02, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name('f'), 0x00, 0]),
    ...section(10, [1, ...counted(body)]),
  ]);
}

function section(id: number, content: Code): Code {
  return [id, ...counted(content)];
}

function name(letter: string): Code {
  return counted([letter.charCodeAt(0)]);
}

/** Bytes after their number. */
function counted(bytes: Code): Code {
  return [...unsigned(bytes.length), ...bytes];
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** LEB128 with a sign. */
function signed(value: bigint): Code {
  const low = Number(value & 0x7fn);
  const rest = value >> 7n;
  const last = low < 0x40 ? rest === 0n : rest === -1n;
  return last ? [low] : [low | 0x80, ...signed(rest)];
}

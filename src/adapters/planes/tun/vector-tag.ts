/**
 * The tag of a packet (core/tag/tag.ts) with vector instructions: a WebAssembly function. NH goes over 64 bytes a
 * round, and both its passes over one block of 16 bytes at a time: sums s and t of the block with the key's words, and
 * with those from the third on, are sorted into even and odd words, whose products are what each pass adds up.
 *
 *     even   s0 s2 t0 t2      low halves:   s0*s1, s2*s3   to the first pass
 *     odd    s1 s3 t1 t3      high halves:  t0*t1, t2*t3   to the second
 *
 * The packet lies in two parts, the first of which is of whole rounds and may be empty: a piece of a super-packet has
 * headers of its own in one place and its payload in another. Where it ends within a round, what is behind is read, and
 * taken for zeros.
 */
import { TAG_LENGTH, TAG_OFFSET } from '../../../core/tag/layout.ts';
import { NH_ROUND_LENGTH, NH_SHIFT } from '../../../core/tag/nh.ts';
import { SIPHASH_KEY_BYTES } from '../../../core/siphash.ts';
import {
  block,
  BR_IF_0,
  I32,
  I32_ADD,
  I32_GE_U,
  I32_GT_U,
  I32_LE_U,
  I32_LT_U,
  I32_SUB,
  i32Const,
  I32X4_ADD,
  I64,
  I64_ADD,
  I64_EQ,
  I64_EXTEND_I32_U,
  I64_OR,
  I64_ROTL,
  I64_STORE,
  I64_XOR,
  i64Const,
  i64Load,
  I64X2_ADD,
  I64X2_EXTMUL_HIGH_I32X4_U,
  I64X2_EXTMUL_LOW_I32X4_U,
  i64x2ExtractLane,
  I8X16_LT_U,
  I8X16_SHUFFLE,
  I8X16_SPLAT,
  ifTrue,
  localGet,
  localSet,
  localTee,
  loop,
  V128,
  V128_AND,
  V128_CONST,
  vector,
  vectorLoad,
  type Code,
  type WasmFunction,
} from './wasm.ts';

/**
 * Writes the 8 bytes of a tag to `out`; 1 if they were behind the header before. The header is at `header`, and behind
 * its tag the first part, up to `end`; the second is from `rest` to `stop`. `length`: of the packet. Up to 63 bytes from
 * `stop` on are read.
 */
export type VectorTag = (
  header: number,
  end: number,
  rest: number,
  stop: number,
  length: number,
  key: number,
  out: number,
) => number;

const [HEADER, FIRST_END, REST, STOP, LENGTH, KEY, OUT] = [0, 1, 2, 3, 4, 5, 6] as const;
const [AT, WORDS] = [7, 8] as const;
const [PASS1, PASS2, SUM1, SUM2, EVEN] = [9, 10, 11, 12, 13] as const;
const [X, Y, A, B, C, D, WORD] = [14, 15, 16, 17, 18, 19, 20] as const;

const VECTOR_BYTES = 16;
const EVEN_WORDS = [0, 8, 16, 24].flatMap((at) => [at, at + 1, at + 2, at + 3]);
const ODD_WORDS = EVEN_WORDS.map((at) => at + 4);

/** Both passes over the round at a local, by the key's words at WORDS; `mask` makes of the block at an offset what counts. */
function round(at: number, mask: (offset: number) => Code = () => []): Code {
  return [0, 1, 2, 3].flatMap((index) => {
    const offset = index * VECTOR_BYTES;
    return [
      ...[...vectorLoad(at, offset), ...mask(offset), ...localTee(SUM2)],
      ...[...vectorLoad(WORDS, offset), ...I32X4_ADD, ...localSet(SUM1)],
      ...[...localGet(SUM2), ...vectorLoad(WORDS, offset + NH_SHIFT), ...I32X4_ADD],
      ...localSet(SUM2),
      ...[...localGet(SUM1), ...localGet(SUM2), ...vector(I8X16_SHUFFLE, ...EVEN_WORDS)],
      ...localTee(EVEN),
      ...[...localGet(SUM1), ...localGet(SUM2), ...vector(I8X16_SHUFFLE, ...ODD_WORDS)],
      ...localTee(SUM1),
      ...[...I64X2_EXTMUL_LOW_I32X4_U, ...localGet(PASS1), ...I64X2_ADD, ...localSet(PASS1)],
      ...[...localGet(EVEN), ...localGet(SUM1), ...I64X2_EXTMUL_HIGH_I32X4_U],
      ...[...localGet(PASS2), ...I64X2_ADD, ...localSet(PASS2)],
    ];
  });
}

/** Bytes of the block that are before STOP stay. */
const beforeStop = (offset: number): Code => [
  ...vector(V128_CONST, ...Array.from({ length: VECTOR_BYTES }, (_, index) => offset + index)),
  ...[...localGet(STOP), ...localGet(REST), I32_SUB, ...I8X16_SPLAT],
  ...[...I8X16_LT_U, ...V128_AND],
];

const move = (local: number): Code => [
  ...[...localGet(local), ...i32Const(NH_ROUND_LENGTH), I32_ADD],
];

const HASH: Code = [
  ...[...localGet(KEY), ...i32Const(SIPHASH_KEY_BYTES), I32_ADD, ...localSet(WORDS)],
  ...block(
    [...localGet(HEADER), ...i32Const(TAG_LENGTH), I32_ADD, ...localTee(AT)],
    [...localGet(FIRST_END), I32_GE_U, ...BR_IF_0],
    loop(
      [...round(AT), ...move(WORDS), ...localSet(WORDS)],
      [...move(AT), ...localTee(AT), ...localGet(FIRST_END), I32_LT_U, ...BR_IF_0],
    ),
  ),
  ...block(
    [...move(REST), ...localGet(STOP), I32_GT_U, ...BR_IF_0],
    loop(
      [...round(REST), ...move(WORDS), ...localSet(WORDS)],
      [...move(REST), ...localSet(REST)],
      [...move(REST), ...localGet(STOP), I32_LE_U, ...BR_IF_0],
    ),
  ),
  ...[...localGet(REST), ...localGet(STOP), I32_LT_U],
  ...ifTrue(round(REST, beforeStop)),
  ...lanes(PASS1),
  ...localSet(X),
  ...lanes(PASS2),
  ...localSet(Y),
];

function lanes(local: number): Code {
  return [0, 1].flatMap((lane) => [
    ...[...localGet(local), ...i64x2ExtractLane(lane), ...(lane === 0 ? [] : [I64_ADD])],
  ]);
}

const xorTo = (local: number, code: Code): Code => [
  ...[...localGet(local), ...code, I64_XOR, ...localSet(local)],
];
const rotate = (local: number, bits: bigint): Code => [
  ...[...localGet(local), ...i64Const(bits), I64_ROTL, ...localSet(local)],
];
const addTo = (local: number, other: number): Code => [
  ...[...localGet(local), ...localGet(other), I64_ADD, ...localSet(local)],
];
const half = (one: number, other: number, bits: bigint): Code => [
  ...[...addTo(one, other), ...rotate(other, bits), ...xorTo(other, localGet(one))],
];
const SIP_ROUND: Code = [
  ...[...half(A, B, 13n), ...rotate(A, 32n), ...half(C, D, 16n)],
  ...[...half(A, D, 21n), ...half(C, B, 17n), ...rotate(C, 32n)],
];

const begin = (local: number, offset: number, constant: bigint): Code => [
  ...[...i64Load(KEY, offset), ...i64Const(constant), I64_XOR, ...localSet(local)],
];
const absorb = (word: Code): Code => [
  ...[...word, ...localSet(WORD), ...xorTo(D, localGet(WORD))],
  ...[...SIP_ROUND, ...SIP_ROUND, ...xorTo(A, localGet(WORD))],
];
/** In the last byte of what SipHash takes: how many there were. */
const COUNT = BigInt(TAG_OFFSET + 2 * 8 + 7) << 56n;

const PROVE: Code = [
  ...[...begin(A, 0, 0x736f_6d65_7073_6575n), ...begin(B, 8, 0x646f_7261_6e64_6f6dn)],
  ...[...begin(C, 0, 0x6c79_6765_6e65_7261n), ...begin(D, 8, 0x7465_6462_7974_6573n)],
  ...[...absorb(i64Load(HEADER, 0)), ...absorb(localGet(X)), ...absorb(localGet(Y))],
  ...absorb([...localGet(LENGTH), I64_EXTEND_I32_U, ...i64Const(COUNT), I64_OR]),
  ...xorTo(C, i64Const(0xffn)),
  ...[...SIP_ROUND, ...SIP_ROUND, ...SIP_ROUND, ...SIP_ROUND],
  ...[...xorTo(A, localGet(B)), ...xorTo(A, localGet(C)), ...xorTo(A, localGet(D))],
];

export const VECTOR_TAG: WasmFunction = {
  parameters: OUT + 1,
  locals: [
    [WORDS - AT + 1, I32],
    [EVEN - PASS1 + 1, V128],
    [WORD - X + 1, I64],
  ],
  code: [
    ...[...HASH, ...PROVE],
    ...[...i64Load(HEADER, TAG_OFFSET), ...localGet(A), I64_EQ],
    ...[...localGet(OUT), ...localGet(A), ...I64_STORE],
  ],
};

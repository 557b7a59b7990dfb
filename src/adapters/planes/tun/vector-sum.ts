/**
 * The sum of many 16-bit words with vector instructions: a WebAssembly function. Four accumulators, 64 bytes a
 * round; about four times as fast as the same loop in JavaScript.
 *
 *     (func (param $at i32) (param $end i32) (result i32)
 *       (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128)
 *       (loop
 *         ;; for n = 0 … 3
 *         (local.set $sn (i32x4.add (local.get $sn)
 *           (i32x4.extadd_pairwise_i16x8_u (v128.load offset=n*16 align=1 (local.get $at)))))
 *         (br_if 0 (i32.lt_u
 *           (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $end))))
 *       ;; $s0 += $s1, $s2, $s3; then the sum of the four lanes of $s0)
 */
import {
  BR_IF_0,
  I32_ADD,
  I32_LT_U,
  i32Const,
  I32X4_ADD,
  I32X4_EXTADD_PAIRWISE_I16X8_U,
  i32x4ExtractLane,
  localGet,
  localSet,
  localTee,
  loop,
  V128,
  vectorLoad,
  type WasmFunction,
} from './wasm.ts';

export const VECTOR_ROUND_BYTES = 64;

/**
 * Sum of the little-endian words from `at` to `end`, as a signed number: take it modulo 2^32. There is at
 * least one round, there are only whole ones, and no more than 64 KiB.
 */
export type VectorSum = (at: number, end: number) => number;

const AT = 0;
const STOP = 1;
const SUMS = [2, 3, 4, 5] as const;
const [TOTAL, ...OTHERS] = SUMS;

export const VECTOR_SUM: WasmFunction = {
  parameters: 2,
  locals: [[SUMS.length, V128]],
  code: [
    ...loop(
      ...SUMS.flatMap((sum, index) => [
        localGet(sum),
        vectorLoad(AT, index * 16),
        [...I32X4_EXTADD_PAIRWISE_I16X8_U, ...I32X4_ADD],
        localSet(sum),
      ]),
      [...localGet(AT), ...i32Const(VECTOR_ROUND_BYTES), I32_ADD, ...localTee(AT)],
      [...localGet(STOP), I32_LT_U, ...BR_IF_0],
    ),
    ...OTHERS.flatMap((sum) => [
      ...[...localGet(TOTAL), ...localGet(sum), ...I32X4_ADD, ...localSet(TOTAL)],
    ]),
    ...[0, 1, 2, 3].flatMap((lane) => [
      ...[...localGet(TOTAL), ...i32x4ExtractLane(lane), ...(lane === 0 ? [] : [I32_ADD])],
    ]),
  ],
};

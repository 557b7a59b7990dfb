/**
 * Classic BPF programs (linux/filter.h, linux/bpf_common.h of 6.1), which filter what a socket receives and
 * need no privilege. A load from behind the packet's end drops it.
 */
import { HOST_IS_LITTLE_ENDIAN } from '../core/bytes.ts';

/** `yes` and `no`: how many instructions a jump skips, 255 at most. */
export type Instruction = readonly [code: number, yes: number, no: number, k: number];

// From `k` on into A; the last two from X + `k`.
export const LD_WORD = 0x20;
export const LD_HALF = 0x28;
export const LD_BYTE = 0x30;
export const LD_HALF_AT_X = 0x48;
export const LD_BYTE_AT_X = 0x50;
/** The packet's length into A. */
export const LD_LENGTH = 0x80;
/** The length of the IPv4 header at `k` into X. */
export const LDX_HEADER_LENGTH = 0xb1;
export const ADD_X = 0x0c;
export const AND = 0x54;
export const MULTIPLY = 0x24;
export const MODULO = 0x94;
export const SHIFT_LEFT = 0x64;
export const SHIFT_RIGHT = 0x74;
/** A into X. */
export const TAX = 0x07;
export const JUMP_EQUAL = 0x15;
export const JUMP_GREATER_EQUAL = 0x35;
/** Whether any bit of `k` is set. */
export const JUMP_SET = 0x45;
/** How many bytes of the packet are let through. */
export const RETURN = 0x06;

export const NOTHING = 0;
export const WHOLE = 0xffff_ffff;

/** struct sock_filter[], host byte order. */
export function encodeProgram(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(program.length * 8));
  const view = new DataView(bytes.buffer);
  for (const [index, [code, yes, no, k]] of program.entries()) {
    view.setUint16(index * 8, code, HOST_IS_LITTLE_ENDIAN);
    view.setUint8(index * 8 + 2, yes);
    view.setUint8(index * 8 + 3, no);
    view.setUint32(index * 8 + 4, k, HOST_IS_LITTLE_ENDIAN);
  }
  return bytes;
}

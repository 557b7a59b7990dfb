import { HOST_IS_LITTLE_ENDIAN } from '../../../core/bytes.ts';
import type { AddressOf } from '../../udp/message-headers.ts';
import type { VectorMemory } from './vector-memory.ts';
import type { VectorSum } from './vector-sum.ts';
import type { VectorTag } from './vector-tag.ts';

/** Where the halves of a 64-bit word lie, in 32-bit words. */
const LOW = HOST_IS_LITTLE_ENDIAN ? 0 : 1;
const HIGH = 1 - LOW;

/**
 * Memory whose address the kernel is given: outside the JavaScript heap (a small typed array may live
 * inside it and move), and its views, all over the same bytes. Positions are in bytes from its start.
 */
export class Arena {
  readonly bytes: Uint8Array;
  /** Host byte order. */
  readonly u16: Uint16Array;
  /** Host byte order. */
  readonly u32: Uint32Array;
  /** Address of the first byte; a number holds any of user space. */
  readonly address: number;
  /** Sums much at once; undefined where that is not to be had. */
  readonly vectorSum: VectorSum | undefined;
  /** Makes a tag; undefined in the same way. */
  readonly vectorTag: VectorTag | undefined;

  /** `length` is a multiple of 8. */
  constructor(length: number, addressOf: AddressOf, vectors?: VectorMemory) {
    const memory = vectors?.memory ?? new ArrayBuffer(length);
    this.vectorSum = HOST_IS_LITTLE_ENDIAN ? vectors?.sum : undefined;
    this.vectorTag = HOST_IS_LITTLE_ENDIAN ? vectors?.tag : undefined;
    this.bytes = new Uint8Array(memory, 0, length);
    this.u16 = new Uint16Array(memory, 0, length / 2);
    this.u32 = new Uint32Array(memory, 0, length / 4);
    this.address = Number(addressOf(this.bytes));
  }

  u16be(at: number): number {
    return ((this.bytes[at] ?? 0) << 8) | (this.bytes[at + 1] ?? 0);
  }

  /** Host byte order, at any position. */
  u32host(at: number): number {
    const later = HOST_IS_LITTLE_ENDIAN ? 2 : 0;
    return (this.#u16host(at + later) * 0x10000 + this.#u16host(at + 2 - later)) >>> 0;
  }

  #u16host(at: number): number {
    const later = HOST_IS_LITTLE_ENDIAN ? 1 : 0;
    return ((this.bytes[at + later] ?? 0) << 8) | (this.bytes[at + 1 - later] ?? 0);
  }

  u32be(at: number): number {
    return this.u16be(at) * 0x10000 + this.u16be(at + 2);
  }

  setU16be(at: number, value: number): void {
    this.bytes[at] = value >>> 8;
    this.bytes[at + 1] = value;
  }

  /** Taken modulo 2^32. */
  setU32be(at: number, value: number): void {
    const word = value >>> 0;
    this.setU16be(at, word >>> 16);
    this.setU16be(at + 2, word & 0xffff);
  }

  /** A size_t or pointer below 2^53, at a position that is a multiple of 8. */
  setWord(at: number, value: number): void {
    this.u32[at / 4 + LOW] = value >>> 0;
    this.u32[at / 4 + HIGH] = Math.floor(value / 0x1_0000_0000);
  }

  /** The low half of a 64-bit word, at a position that is a multiple of 8. */
  lowWord(at: number): number {
    return this.u32[at / 4 + LOW] ?? 0;
  }
}

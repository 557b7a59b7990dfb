/**
 * The tag of a packet: SipHash-2-4 over its header as it is on the wire, NH's two words, and its length (31 bytes, all
 * low byte first). At level `header` NH goes over the first 64 bytes, at `full` over all of them. This is what says
 * how it is done; planes do it in their own ways, and are tested against this.
 */
import { setU32le } from '../bytes.ts';
import { SIPHASH_KEY_BYTES, sipHash64 } from '../siphash.ts';
import {
  decodeTagHeader,
  encodeTagHeader,
  TAG_LENGTH,
  TAG_OFFSET,
  type TagHeader,
} from './layout.ts';
import { nh, NH_LENGTH, NH_ROUND_LENGTH } from './nh.ts';
import type { TagLevel } from './types.ts';

const PROVED_LENGTH = TAG_OFFSET + NH_LENGTH + 7;
const proved = new Uint8Array(PROVED_LENGTH);

/** Bytes of a packet that NH goes over, before they are filled up. */
export function coveredLength(level: TagLevel, length: number): number {
  return level === 'full' ? length : Math.min(length, NH_ROUND_LENGTH);
}

/** Writes the 8 bytes of the tag of `packet`, whose header on the wire begins with `header`. `key`: TAG_KEY_LENGTH bytes. */
export function writeTag(
  level: TagLevel,
  key: Uint8Array,
  header: Uint8Array,
  packet: Uint8Array,
  into: Uint8Array,
  at: number,
): void {
  const covered = packet.subarray(0, coveredLength(level, packet.length));
  writeTagOf(key, header, covered, packet.length, into, at);
}

/** The same of the bytes that NH goes over, and of how long their packet is; `key` may end where they do. */
export function writeTagOf(
  key: Uint8Array,
  header: Uint8Array,
  covered: Uint8Array,
  length: number,
  into: Uint8Array,
  at: number,
): void {
  proved.set(header.subarray(0, TAG_OFFSET));
  nh(key.subarray(SIPHASH_KEY_BYTES), covered, proved, TAG_OFFSET);
  setU32le(proved, TAG_OFFSET + NH_LENGTH, length);
  sipHash64(key.subarray(0, SIPHASH_KEY_BYTES), proved, into, at);
}

/** The payload that carries a packet. */
export function tagged(header: TagHeader, key: Uint8Array, packet: Uint8Array): Uint8Array {
  const payload = new Uint8Array(TAG_LENGTH + packet.length);
  encodeTagHeader(header, payload);
  payload.set(packet, TAG_LENGTH);
  writeTag(header.level, key, payload, packet, payload, TAG_OFFSET);
  return payload;
}

/** Whether a payload is a tagged packet, and its tag is right. */
export function isTaggedRight(key: Uint8Array, payload: Uint8Array): boolean {
  const header = decodeTagHeader(payload);
  if (!header) return false;
  const right = new Uint8Array(TAG_LENGTH - TAG_OFFSET);
  writeTag(header.level, key, payload, payload.subarray(TAG_LENGTH), right, 0);
  return right.every((byte, index) => byte === payload[TAG_OFFSET + index]);
}

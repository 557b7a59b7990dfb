/**
 * The tag before an inner packet (docs/PROTOCOL.md, "Tags"). All numbers but the tag itself are big-endian; the tag
 * is the result of SipHash, its low byte first.
 *
 *     0 type u8    1 index u24    4 counter u32    8 tag u64    16 inner packet
 */
import { getU32be, setU32be } from '../bytes.ts';
import type { TagLevel } from './types.ts';

export const TAG_LENGTH = 16;
/** Where in it the counter is. */
export const TAG_COUNTER_AT = 4;
/** Where in it the tag proper begins: what is before is proved by it. */
export const TAG_OFFSET = 8;

/** First bytes. Their first half, 1, is no IP version. */
export const TAG_TYPE: Readonly<Record<TagLevel, number>> = { header: 0x11, full: 0x12 };

/** Bytes of the longest inner packet that a tag can be before: what a key of NH covers. */
export const MAX_TAGGED_LENGTH = 1536;

export const MAX_TAG_INDEX = 0xff_ffff;
/** 0 is none; after the last one nothing is sent any more. */
export const MAX_TAG_COUNTER = 0xffff_ffff;

export type TagHeader = {
  readonly level: TagLevel;
  readonly index: number;
  readonly counter: number;
};

/** Writes what comes before the tag proper. */
export function encodeTagHeader(
  { level, index, counter }: TagHeader,
  into: Uint8Array,
  at = 0,
): void {
  setU32be(into, at, TAG_TYPE[level] * 0x100_0000 + index);
  setU32be(into, at + TAG_COUNTER_AT, counter);
}

/** undefined where the payload is no tagged packet, or too short for one. */
export function decodeTagHeader(payload: Uint8Array): TagHeader | undefined {
  if (payload.length <= TAG_LENGTH) return undefined;
  const level = levelOf(payload[0]);
  if (level === undefined) return undefined;
  return {
    level,
    index: getU32be(payload, 0) & MAX_TAG_INDEX,
    counter: getU32be(payload, TAG_COUNTER_AT),
  };
}

/** What a first byte says; undefined: that no tag comes. */
export function levelOf(firstByte: number | undefined): TagLevel | undefined {
  if (firstByte === TAG_TYPE.full) return 'full';
  return firstByte === TAG_TYPE.header ? 'header' : undefined;
}

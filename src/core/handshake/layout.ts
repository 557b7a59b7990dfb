/**
 * The packets of session 2, as docs/PROTOCOL.md has them: how they begin, and how long they are. All numbers are
 * big-endian.
 *
 *     INIT      F1 02 00 00  sender 4    ephemeral 32  static 48  payload 80     mac1 16  mac2 16    200
 *     RESPONSE  F2 00 00 00  receiver 4  sender 4      ephemeral 32  payload 80  mac 16              140
 *     COOKIE    F3 00 00 00  receiver 4  nonce 16      hidden cookie 16          mac 16               56
 *     CONTROL   F4 00 00 00  receiver 4  counter 8     messages 80, or more                           96, 576 …
 *     RESET     F5 00 00 00  receiver 4  token 8       zeros 16                                       32
 */
import { getU32be, setU32be } from '../bytes.ts';
import { MAX_TAG_INDEX } from '../tag/layout.ts';

export const PACKET_LENGTH = {
  init: 200,
  response: 140,
  cookie: 56,
  control: 96,
  reset: 32,
} as const;

export type PacketKind = keyof typeof PACKET_LENGTH;

const FIRST_WORD: Readonly<Record<PacketKind, number>> = {
  init: 0xf102_0000,
  response: 0xf200_0000,
  cookie: 0xf300_0000,
  control: 0xf400_0000,
  reset: 0xf500_0000,
};
const KINDS = new Map(
  Object.entries(FIRST_WORD).map(([kind, word]) => [word, kind as PacketKind] as const),
);

/** The lengths that a CONTROL may have beside its own: those of packets that a path is probed with. */
export const PROBE_LENGTHS = { min: 576, max: 65_507 } as const;

/** Where the first index stands: the sender's of INIT, the receiver's of all others. */
const INDEX_AT = 4;
export const SENDER_AT = 8;

/** What a payload is by its first four bytes and its length; undefined: nothing of session 2. */
export function packetKind(payload: Uint8Array): PacketKind | undefined {
  if (payload.length < PACKET_LENGTH.reset) return undefined;
  const kind = KINDS.get(getU32be(payload, 0));
  if (kind === undefined || payload.length === PACKET_LENGTH[kind]) return kind;
  return kind === 'control' && isProbeLength(payload.length) ? kind : undefined;
}

export function isProbeLength(length: number): boolean {
  return length >= PROBE_LENGTHS.min && length <= PROBE_LENGTHS.max;
}

/** Zeros of a packet's length, but for its first word and index. */
export function beginPacket(
  kind: PacketKind,
  index: number,
  length: number = PACKET_LENGTH[kind],
): Uint8Array {
  const packet = new Uint8Array(length);
  setU32be(packet, 0, FIRST_WORD[kind]);
  setU32be(packet, INDEX_AT, index);
  return packet;
}

/** undefined for what is no index: 0, and more than 24 bits. */
export function indexOf(packet: Uint8Array, at: number = INDEX_AT): number | undefined {
  const index = getU32be(packet, at);
  return isIndex(index) ? index : undefined;
}

export function isIndex(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value <= MAX_TAG_INDEX;
}

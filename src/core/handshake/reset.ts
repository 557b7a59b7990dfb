/**
 * RESET: what a server that does not know an index says to whoever sent it. It needs to remember nothing: the token is
 * SipHash-2-4-64, under a key made of its private key, over the index and the source. The client was told it under
 * encryption (RESPONSE, OBSERVED), so that nobody else can end a session: who asks for tokens from elsewhere gets
 * those of elsewhere.
 */
import type { Endpoint } from '../addr.ts';
import { constantTimeEqual } from '../auth/bytes.ts';
import { concatBytes, encodeU32be } from '../bytes.ts';
import { sipHash64 } from '../siphash.ts';
import { decodeTagHeader } from '../tag/layout.ts';
import type { ControlSession } from './control-session.ts';
import { encodeEndpoint, RESET_TOKEN_BYTES } from './fields.ts';
import type { ServerKeys } from './keys.ts';
import { beginPacket, indexOf, isIndex, PACKET_LENGTH, packetKind } from './layout.ts';

const TOKEN_AT = 8;
const ZEROS_AT = TOKEN_AT + RESET_TOKEN_BYTES;

/** What proves a RESET of a session whose packets carry `index` and come from `source`. */
export function resetTokenOf(
  { reset }: Pick<ServerKeys, 'reset'>,
  index: number,
  source: Endpoint,
): Uint8Array {
  return sipHash64(reset, concatBytes([encodeU32be(index), encodeEndpoint(source)]));
}

/** The index that a CONTROL or a tagged packet is sent to; undefined for all else. */
export function receiverOf(payload: Uint8Array): number | undefined {
  if (packetKind(payload) === 'control') return indexOf(payload);
  const index = decodeTagHeader(payload)?.index;
  return index !== undefined && isIndex(index) ? index : undefined;
}

/** The RESET that answers a packet; undefined where none may: it is none of a session, or shorter than a RESET. */
export function createReset(
  keys: Pick<ServerKeys, 'reset'>,
  source: Endpoint,
  payload: Uint8Array,
): Uint8Array | undefined {
  const index = receiverOf(payload);
  if (index === undefined || payload.length < PACKET_LENGTH.reset) return undefined;
  return resetOf(keys, index, source);
}

/** Ends the session of an index and a source. */
export function resetOf(
  keys: Pick<ServerKeys, 'reset'>,
  index: number,
  source: Endpoint,
): Uint8Array {
  const packet = beginPacket('reset', index);
  packet.set(resetTokenOf(keys, index, source), TOKEN_AT);
  return packet;
}

/** Whether a packet ends this session; `token`: what the client was told last. */
export function isReset(
  { sendIndex }: Pick<ControlSession, 'sendIndex'>,
  token: Uint8Array,
  packet: Uint8Array,
): boolean {
  if (packetKind(packet) !== 'reset' || indexOf(packet) !== sendIndex) return false;
  if (packet.subarray(ZEROS_AT).some((byte) => byte !== 0)) return false;
  return constantTimeEqual(packet.subarray(TOKEN_AT, ZEROS_AT), token);
}

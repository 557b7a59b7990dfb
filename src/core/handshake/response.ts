/** RESPONSE: the second message of Noise IKpsk2, and a mac over all before it that costs its reader little. */
import { constantTimeEqual } from '../auth/bytes.ts';
import { setU32be } from '../bytes.ts';
import { finish, readMessage, writeMessage, type Handshake } from '../noise/handshake.ts';
import type { NoiseCrypto } from '../noise/types.ts';
import { sipHash128 } from '../siphash.ts';
import { FRESH_WINDOW, type ControlSession } from './control-session.ts';
import { MAC_BYTES, type HeardInit, type PendingInit } from './init.ts';
import { beginPacket, indexOf, PACKET_LENGTH, packetKind, SENDER_AT } from './layout.ts';
import { decodeResponsePayload, encodeResponsePayload, type ResponsePayload } from './payloads.ts';
import { refusedFor, type Heard } from './refusal.ts';

const MAC_AT = PACKET_LENGTH.response - MAC_BYTES;
const MESSAGE_AT = SENDER_AT + 4;

/** `index`: the server's. Throws RangeError for a payload that does not fit. */
export function createResponse(
  crypto: NoiseCrypto,
  init: HeardInit,
  { index, payload }: { readonly index: number; readonly payload: ResponsePayload },
): { readonly packet: Uint8Array; readonly session: ControlSession } {
  const written = writeMessage(crypto, init.handshake, encodeResponsePayload(payload));
  if (!written) throw new RangeError('an INIT that was not read');
  const packet = beginPacket('response', init.index);
  setU32be(packet, SENDER_AT, index);
  packet.set(written.message, MESSAGE_AT);
  packet.set(sipHash128(init.responseKey, packet.subarray(0, MAC_AT)), MAC_AT);
  const session = sessionOf(crypto, written.state, { sendIndex: init.index, receiveIndex: index });
  return { packet, session };
}

/** `index`: the packet is for another INIT. */
export function readResponse(
  crypto: NoiseCrypto,
  pending: PendingInit,
  packet: Uint8Array,
): Heard<{ readonly payload: ResponsePayload; readonly session: ControlSession }> {
  if (packetKind(packet) !== 'response') return refusedFor('length');
  const sendIndex = indexOf(packet, SENDER_AT);
  if (indexOf(packet) !== pending.index || sendIndex === undefined) return refusedFor('index');
  const mac = sipHash128(pending.responseKey, packet.subarray(0, MAC_AT));
  if (!constantTimeEqual(packet.subarray(MAC_AT), mac)) return refusedFor('mac');
  const rest = packet.subarray(MESSAGE_AT, MAC_AT);
  const read = readMessage(crypto, { state: pending.handshake, rest });
  if (!read) return refusedFor('undecipherable');
  const payload = decodeResponsePayload(read.payload);
  if (!payload) return refusedFor('malformed');
  const indexes = { sendIndex, receiveIndex: pending.index };
  return { ok: true, value: { payload, session: sessionOf(crypto, read.state, indexes) } };
}

function sessionOf(
  crypto: NoiseCrypto,
  state: Handshake,
  indexes: Pick<ControlSession, 'sendIndex' | 'receiveIndex'>,
): ControlSession {
  const keys = finish(crypto, state);
  if (!keys) throw new RangeError('a handshake that is not at its end');
  return {
    role: state.role === 'initiator' ? 'client' : 'server',
    sendKey: keys.send,
    receiveKey: keys.receive,
    chainingKey: keys.chainingKey,
    ...indexes,
    nextCounter: 0,
    window: FRESH_WINDOW,
  };
}

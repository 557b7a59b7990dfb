/**
 * CONTROL: sealed under a session's keys, with its counter as the nonce; the 16 bytes before are proved with it. One
 * that is longer than usual fills a packet of exactly its length, which probes the path.
 */
import { getU64be, setU32be } from '../bytes.ts';
import { SEAL_BYTES, type NoiseCrypto } from '../noise/types.ts';
import { isFreshCounter, takeCounter, type ControlSession } from './control-session.ts';
import { beginPacket, indexOf, isProbeLength, PACKET_LENGTH, packetKind } from './layout.ts';
import { decodeMessages, encodeMessages, type ControlMessage } from './messages.ts';
import { refusedFor, type Heard } from './refusal.ts';

const COUNTER_AT = 8;
const SEALED_AT = 16;

/** Bytes of messages in a CONTROL of the usual length. */
export const MESSAGES_BYTES = PACKET_LENGTH.control - SEALED_AT - SEAL_BYTES;

/**
 * The packet, and the session after it. Throws RangeError where the messages do not fit, and for a length that a
 * CONTROL may not have.
 */
export function sealControl(
  crypto: NoiseCrypto,
  session: ControlSession,
  messages: readonly ControlMessage[],
  length: number = PACKET_LENGTH.control,
): { readonly packet: Uint8Array; readonly session: ControlSession } {
  const counter = session.nextCounter;
  if (length !== PACKET_LENGTH.control && !isProbeLength(length)) {
    throw new RangeError(`a CONTROL of ${length} bytes`);
  }
  if (!Number.isSafeInteger(counter)) throw new RangeError(`counter ${counter}`);
  const plaintext = new Uint8Array(length - SEALED_AT - SEAL_BYTES);
  plaintext.set(encodeMessages(messages));
  const packet = beginPacket('control', session.sendIndex, length);
  setU32be(packet, COUNTER_AT, Math.floor(counter / 0x1_0000_0000));
  setU32be(packet, COUNTER_AT + 4, counter % 0x1_0000_0000);
  const header = packet.subarray(0, SEALED_AT);
  packet.set(crypto.seal(session.sendKey, counter, header, plaintext), SEALED_AT);
  return { packet, session: { ...session, nextCounter: counter + 1 } };
}

export type HeardControl = {
  readonly counter: number;
  /** Whether no packet with a higher counter came before. */
  readonly newest: boolean;
  readonly messages: readonly ControlMessage[];
  readonly session: ControlSession;
};

export function openControl(
  crypto: NoiseCrypto,
  session: ControlSession,
  packet: Uint8Array,
): Heard<HeardControl> {
  if (packetKind(packet) !== 'control') return refusedFor('length');
  if (indexOf(packet) !== session.receiveIndex) return refusedFor('index');
  const counter = Number(getU64be(packet, COUNTER_AT));
  if (!Number.isSafeInteger(counter)) return refusedFor('malformed');
  if (!isFreshCounter(session.window, counter)) return refusedFor('replayed');
  const header = packet.subarray(0, SEALED_AT);
  const plaintext = crypto.open(session.receiveKey, counter, header, packet.subarray(SEALED_AT));
  if (!plaintext) return refusedFor('undecipherable');
  const messages = decodeMessages(plaintext);
  if (!messages) return refusedFor('malformed');
  const newest = counter > session.window.newest;
  const window = takeCounter(session.window, counter);
  return { ok: true, value: { counter, newest, messages, session: { ...session, window } } };
}

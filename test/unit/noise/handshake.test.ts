import { describe, expect, it } from 'vitest';
import { noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import {
  finish,
  readMessage,
  readStatic,
  startHandshake,
  writeMessage,
  type Handshake,
  type HandshakeStart,
} from '../../../src/core/noise/handshake.ts';
import { generateDhPair as generate } from '../../../src/core/noise/types.ts';

const client = generate(noiseCrypto);
const server = generate(noiseCrypto);
const psk = noiseCrypto.random(32);
const prologue = Uint8Array.of(1, 2, 3);
const payload = Uint8Array.of(9, 8, 7);

const initiator = (over: Partial<HandshakeStart> = {}): Handshake =>
  startHandshake(noiseCrypto, {
    ...{ role: 'initiator', pattern: 'IKpsk2', prologue, own: client },
    ...{ remote: server.publicKey, psk, ...over },
  });
const responder = (over: Partial<HandshakeStart> = {}): Handshake =>
  startHandshake(noiseCrypto, {
    ...{ role: 'responder', pattern: 'IKpsk2', prologue, own: server, psk, ...over },
  });

function write(state: Handshake) {
  const written = writeMessage(noiseCrypto, state, payload);
  if (!written) throw new Error('not written');
  return written;
}
const read = (state: Handshake, rest: Uint8Array) => readMessage(noiseCrypto, { state, rest });

describe('a Noise handshake', () => {
  it('gives both ends the same keys, each from a state that it may use again', () => {
    const first = write(initiator());
    const heard = read(responder(), first.message);
    expect(heard?.payload).toEqual(payload);
    if (!heard) return;
    const one = write(heard.state);
    const other = write(heard.state);
    expect(one.message).not.toEqual(other.message);
    for (const second of [one, other]) {
      const end = read(first.state, second.message);
      const ours = end && finish(noiseCrypto, end.state);
      const theirs = finish(noiseCrypto, second.state);
      expect(ours?.send).toEqual(theirs?.receive);
      expect(ours?.receive).toEqual(theirs?.send);
      expect(ours?.send).not.toEqual(ours?.receive);
      expect(ours?.hash).toEqual(theirs?.hash);
    }
    expect(finish(noiseCrypto, heard.state)).toBeUndefined();
  });

  it('tells who it is before the second, dearer half of a message is read', () => {
    const { message } = write(initiator());
    const reading = readStatic(noiseCrypto, responder({ psk: undefined }), message);
    expect(reading?.state.remote).toEqual(client.publicKey);
    if (!reading) return;
    expect(readMessage(noiseCrypto, reading)?.payload).toEqual(payload);
    const spoilt = message.with(message.length - 1, (message.at(-1) ?? 0) ^ 1);
    const begun = readStatic(noiseCrypto, responder(), spoilt);
    expect(begun?.state.remote).toEqual(client.publicKey);
    expect(begun && readMessage(noiseCrypto, begun)).toBeUndefined();
  });

  it('refuses every message of another length, and with another bit', () => {
    const first = write(initiator());
    const heard = read(responder(), first.message);
    if (!heard) throw new Error('not read');
    const second = write(heard.state);
    for (const [state, message] of [
      [responder(), first.message],
      [first.state, second.message],
    ] as const) {
      for (let length = 0; length < message.length; length += 1) {
        expect(read(state, message.subarray(0, length)), `${length} bytes`).toBeUndefined();
      }
      for (let bit = 0; bit < message.length * 8; bit += 1) {
        // X25519 does not look at the highest bit of a key; the hash does.
        const at = bit >> 3;
        const flipped = message.with(at, (message[at] ?? 0) ^ (1 << (bit & 7)));
        expect(read(state, flipped), `bit ${bit}`).toBeUndefined();
      }
    }
  });

  it.each<[string, Handshake, Handshake]>([
    ['prologue', initiator({ prologue: Uint8Array.of(1) }), responder()],
    ['server', initiator({ remote: generate(noiseCrypto).publicKey }), responder()],
    ['pattern', initiator({ pattern: 'IK' }), responder()],
  ])('fails at the first message with another %s', (_what, from, to) => {
    expect(read(to, write(from).message)).toBeUndefined();
  });

  it.each([
    ['another pre-shared key', noiseCrypto.random(32)],
    ['none', undefined],
  ])('fails at the second message with %s', (_what, psk) => {
    const first = write(initiator());
    const heard = read(responder({ psk }), first.message);
    const second = heard && writeMessage(noiseCrypto, heard.state, payload);
    if (!psk) expect(second).toBeUndefined();
    else expect(second && read(first.state, second.message)).toBeUndefined();
  });

  it('is not begun with a key of low order', () => {
    const zero = new Uint8Array(32);
    expect(writeMessage(noiseCrypto, initiator({ remote: zero }), payload)).toBeUndefined();
    const ephemeral = { secret: client.secret, publicKey: zero };
    const { message } = write(initiator({ ephemeral }));
    expect(read(responder(), message)).toBeUndefined();
  });

  it('has an initiator that knows its responder, and no third message', () => {
    expect(() => initiator({ remote: undefined })).toThrow(TypeError);
    const heard = read(responder(), write(initiator()).message);
    if (!heard) throw new Error('not read');
    const { state } = write(heard.state);
    expect(() => writeMessage(noiseCrypto, state, payload)).toThrow(RangeError);
  });
});

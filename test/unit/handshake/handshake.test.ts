import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import { hasMac1, readInit, readInitStatic } from '../../../src/core/handshake/init.ts';
import { clientKeysOf, pskOf, tagKeysOf } from '../../../src/core/handshake/keys.ts';
import { PACKET_LENGTH } from '../../../src/core/handshake/layout.ts';
import { createResponse, readResponse } from '../../../src/core/handshake/response.ts';
import { generateDhPair } from '../../../src/core/noise/types.ts';
import { sipHash128 } from '../../../src/core/siphash.ts';
import {
  client,
  clientKeys,
  flipped,
  hear,
  init,
  initPayload,
  respond,
  responsePayload,
  secret,
  server,
  serverKeys,
  sessions,
  taken,
} from './ends.ts';

describe('INIT and RESPONSE', () => {
  it('have their lengths, and bring their payloads to the other side', () => {
    const { packet, pending } = init();
    expect(packet).toHaveLength(PACKET_LENGTH.init);
    const introduction = taken(readInitStatic(noiseCrypto, serverKeys, packet));
    expect(introduction.client).toEqual(client.publicKey);
    expect(introduction.index).toBe(0x11_2233);
    const heard = hear(packet);
    expect(heard.payload).toEqual(initPayload);
    const response = respond(packet);
    expect(response.packet).toHaveLength(PACKET_LENGTH.response);
    const read = taken(readResponse(noiseCrypto, pending, response.packet));
    expect(read.payload).toEqual(responsePayload);
    expect(read.session).toEqual({
      ...response.session,
      role: 'client',
      sendKey: response.session.receiveKey,
      receiveKey: response.session.sendKey,
      sendIndex: 0x44_5566,
      receiveIndex: 0x11_2233,
    });
    expect(response.session).toMatchObject({
      role: 'server',
      sendIndex: 0x11_2233,
      receiveIndex: 0x44_5566,
    });
  });

  it('give tags other keys in either direction, the same on both sides, others every time', () => {
    const ends = sessions();
    const keys = tagKeysOf(noiseCrypto, ends.client);
    expect(tagKeysOf(noiseCrypto, ends.server)).toEqual(keys);
    expect(keys.client).toHaveLength(1560);
    expect(keys.server).toHaveLength(1560);
    expect(keys.client).not.toEqual(keys.server);
    expect(tagKeysOf(noiseCrypto, sessions().client)).not.toEqual(keys);
  });

  it('hide who the client is, and all that they say', () => {
    const { packet } = init();
    const response = respond(packet);
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    for (const hidden of [client.publicKey, server.publicKey, responsePayload.resetToken]) {
      expect(hex(packet) + hex(response.packet)).not.toContain(hex(hidden));
    }
  });

  it('are refused with any bit of the INIT flipped: by mac1, and behind it as well', () => {
    const { packet } = init();
    for (const [bit, other] of flipped(packet)) {
      // The last 16 bytes are mac2, which only a busy server looks at.
      const refused = bit < 184 * 8;
      expect(hasMac1(serverKeys, other), `bit ${bit}`).toBe(!refused);
      const read = readInitStatic(noiseCrypto, serverKeys, other);
      if (refused) expect(read).toMatchObject({ ok: false });
      else expect(read).toMatchObject({ ok: true });
    }
  });

  it('are refused with any bit flipped by somebody who can make mac1', () => {
    const { packet } = init();
    for (const [bit, other] of flipped(packet.subarray(0, 168))) {
      const forged = new Uint8Array(PACKET_LENGTH.init);
      forged.set(other);
      forged.set(sipHash128(serverKeys.mac1, other), 168);
      const introduction = readInitStatic(noiseCrypto, serverKeys, forged);
      const read = introduction.ok
        ? readInit(noiseCrypto, introduction.value, clientKeys().psk)
        : introduction;
      expect(read, `bit ${bit}`).toMatchObject({ ok: false });
    }
  });

  it('are refused with any bit of the RESPONSE flipped, before any X25519', () => {
    const { packet, pending } = init();
    const response = respond(packet);
    const unasked = { ...noiseCrypto, dh: () => expect.unreachable('X25519') };
    for (const [bit, other] of flipped(response.packet)) {
      const read = readResponse(unasked, pending, other);
      expect(read, `bit ${bit}`).toMatchObject({ ok: false });
    }
  });

  it('are refused for another INIT, and twice by nobody: a state may be used again', () => {
    const first = init();
    const other = init();
    const response = respond(first.packet);
    expect(readResponse(noiseCrypto, other.pending, response.packet)).toEqual({
      ok: false,
      reason: 'mac',
    });
    expect(readResponse(noiseCrypto, init(7).pending, response.packet)).toEqual({
      ok: false,
      reason: 'index',
    });
    expect(readResponse(noiseCrypto, first.pending, response.packet)).toEqual(
      readResponse(noiseCrypto, first.pending, response.packet),
    );
  });

  it('come to nothing with another secret, and tell an observer nothing of it', () => {
    const { packet, pending } = init();
    const heard = hear(packet, pskOf(noiseCrypto, new TextEncoder().encode('other')));
    const response = createResponse(noiseCrypto, heard, { index: 9, payload: responsePayload });
    expect(readResponse(noiseCrypto, pending, response.packet)).toEqual({
      ok: false,
      reason: 'undecipherable',
    });
  });

  it('are made for one server only', () => {
    const { packet } = init();
    const elsewhere = { ...serverKeys, own: generateDhPair(noiseCrypto) };
    expect(readInitStatic(noiseCrypto, elsewhere, packet)).toEqual({
      ok: false,
      reason: 'undecipherable',
    });
  });

  it('survive being kept as text between messages', () => {
    const { packet, pending } = init();
    const kept = structuredClone({ pending, heard: hear(packet) });
    const response = createResponse(noiseCrypto, kept.heard, {
      ...{ index: 9, payload: responsePayload },
    });
    const read = taken(readResponse(noiseCrypto, kept.pending, response.packet));
    expect(structuredClone(read.session).sendKey).toEqual(response.session.receiveKey);
  });

  it('are not made with a server key of low order', () => {
    expect(clientKeysOf(noiseCrypto, client, new Uint8Array(32), secret)).toBeUndefined();
  });

  it('are refused without a throw, whatever comes', () => {
    const { packet, pending } = init();
    const response = respond(packet);
    const like = (whole: Uint8Array) =>
      fc
        .tuple(fc.integer({ min: 0, max: whole.length }), fc.uint8Array({ maxLength: 240 }))
        .map(([kept, rest]) => Uint8Array.from([...whole.subarray(0, kept), ...rest]));
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 700 }), like(packet), like(response.packet)),
        (bytes) => {
          if (Buffer.compare(bytes, packet) !== 0 && bytes.length !== packet.length) {
            expect(readInitStatic(noiseCrypto, serverKeys, bytes).ok).toBe(false);
          }
          readInitStatic(noiseCrypto, serverKeys, bytes);
          if (Buffer.compare(bytes, response.packet) === 0) return;
          expect(readResponse(noiseCrypto, pending, bytes).ok).toBe(false);
        },
      ),
      { numRuns: 300 },
    );
  });
});

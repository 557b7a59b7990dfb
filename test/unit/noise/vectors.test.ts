import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import {
  finish,
  readMessage,
  startHandshake,
  writeMessage,
  type Handshake,
  type PatternName,
} from '../../../src/core/noise/handshake.ts';

type Vector = {
  readonly protocol_name: string;
  readonly origin: string;
  readonly init_prologue: string;
  readonly init_psks?: readonly string[];
  readonly init_static: string;
  readonly init_ephemeral: string;
  readonly init_remote_static: string;
  readonly resp_prologue: string;
  readonly resp_psks?: readonly string[];
  readonly resp_static: string;
  readonly resp_ephemeral: string;
  readonly handshake_hash?: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
};

const { vectors } = JSON.parse(
  readFileSync(new URL('../../fixtures/noise-ik.json', import.meta.url), 'utf8'),
) as { readonly vectors: readonly Vector[] };

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');
const pair = (text: string) => {
  const secret = bytes(text);
  return { secret, publicKey: noiseCrypto.dhPublic(secret) };
};
const NOTHING = new Uint8Array();

function ends(vector: Vector): { readonly initiator: Handshake; readonly responder: Handshake } {
  const pattern = vector.protocol_name.split('_')[1] as PatternName;
  const psk = (psks: readonly string[] | undefined) =>
    psks?.[0] === undefined ? undefined : bytes(psks[0]);
  return {
    initiator: startHandshake(noiseCrypto, {
      role: 'initiator',
      pattern,
      prologue: bytes(vector.init_prologue),
      own: pair(vector.init_static),
      ephemeral: pair(vector.init_ephemeral),
      remote: bytes(vector.init_remote_static),
      psk: psk(vector.init_psks),
    }),
    responder: startHandshake(noiseCrypto, {
      role: 'responder',
      pattern,
      prologue: bytes(vector.resp_prologue),
      own: pair(vector.resp_static),
      ephemeral: pair(vector.resp_ephemeral),
      psk: psk(vector.resp_psks),
    }),
  };
}

describe('Noise with the vectors of other implementations', () => {
  it('are of both patterns and of two implementations', () => {
    expect(new Set(vectors.map(({ protocol_name }) => protocol_name))).toEqual(
      new Set(['Noise_IK_25519_ChaChaPoly_SHA256', 'Noise_IKpsk2_25519_ChaChaPoly_SHA256']),
    );
    expect(new Set(vectors.map(({ origin }) => origin.split(' ')[0]))).toEqual(
      new Set(['cacophony', 'snow']),
    );
  });

  it.each(vectors.map((vector) => [`${vector.protocol_name}, ${vector.origin}`, vector] as const))(
    '%s: every message, and those after the handshake',
    (_name, vector) => {
      let { initiator, responder } = ends(vector);
      for (const [index, { payload, ciphertext }] of vector.messages.slice(0, 2).entries()) {
        const [from, to] = index === 0 ? [initiator, responder] : [responder, initiator];
        const written = writeMessage(noiseCrypto, from, bytes(payload));
        expect(hex(written?.message)).toBe(ciphertext);
        const read = readMessage(noiseCrypto, { state: to, rest: bytes(ciphertext) });
        expect(hex(read?.payload)).toBe(payload);
        if (!written || !read) throw new Error('no message');
        [initiator, responder] =
          index === 0 ? [written.state, read.state] : [read.state, written.state];
      }
      expect(hex(responder.remote)).toBe(hex(pair(vector.init_static).publicKey));
      const client = finish(noiseCrypto, initiator);
      const server = finish(noiseCrypto, responder);
      if (!client || !server) throw new Error('not finished');
      for (const end of [client, server]) {
        if (vector.handshake_hash !== undefined) expect(hex(end.hash)).toBe(vector.handshake_hash);
      }
      expect(client.chainingKey).toEqual(server.chainingKey);
      const transport = vector.messages.slice(2);
      expect(transport.length).toBeGreaterThan(0);
      for (const [index, { payload, ciphertext }] of transport.entries()) {
        const [from, to] = index % 2 === 0 ? [client, server] : [server, client];
        const counter = Math.floor(index / 2);
        const sealed = noiseCrypto.seal(from.send, counter, NOTHING, bytes(payload));
        expect(hex(sealed)).toBe(ciphertext);
        const opened = noiseCrypto.open(to.receive, counter, NOTHING, bytes(ciphertext));
        expect(hex(opened)).toBe(payload);
      }
    },
  );
});

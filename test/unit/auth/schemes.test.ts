import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateKeyPair, openSessionCrypto } from '../../../src/adapters/crypto.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { EXTENSION, type Extension } from '../../../src/core/auth/extensions.ts';
import { noticeOf } from '../../../src/core/auth/refusal.ts';
import type { Replay } from '../../../src/core/auth/replay.ts';
import { authLengths, schemeOf } from '../../../src/core/auth/schemes.ts';
import { field, hintOf } from '../../../src/core/auth/trailer.ts';
import { buildAuth } from '../../../src/core/auth/v1.ts';
import type { Proof } from '../../../src/core/config/tunnel-config.ts';
import { millis, seconds } from '../../../src/core/units.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const client = generateKeyPair();
const server = generateKeyPair();
const secret = utf8('topsecret');
const maxTimeDiscrepancy = seconds(300);
const time = seconds(1_795_387_450);
const now = millis(time * 1000);

const none: Proof = { kind: 'none' };
const token: Proof = { kind: 'token', token: utf8('open sesame') };
type Signed = Extract<Proof, { readonly kind: 'ed25519' }>;
const clientProof: Signed = {
  kind: 'ed25519',
  privateSeed: client.privateSeed,
  peerPublicKey: decodePublicKey(server.publicKey),
  secret,
  maxTimeDiscrepancy,
};
const serverProof: Signed = {
  ...clientProof,
  privateSeed: server.privateSeed,
  peerPublicKey: decodePublicKey(client.publicKey),
};

/** What a side with this proof makes of a request. */
function judge(proof: Proof, payload: Uint8Array, replay?: Replay, at = now) {
  const look = schemeOf(proof).takeRequest(replay, payload, {
    crypto: openSessionCrypto(proof),
    now: at,
  });
  return look.ok ? look.prove() : look;
}

function answerTo(proof: Proof, request: Uint8Array): Uint8Array {
  const judged = judge(proof, request);
  if (!judged.ok) throw new Error(`refused: ${judged.reason}`);
  return judged.reply(time);
}

/** What a side makes of a reply to one of its requests. */
function heed(proof: Proof, reply: Uint8Array, ...open: readonly Uint8Array[]) {
  const look = schemeOf(proof).takeReply(undefined, reply, open, {
    crypto: openSessionCrypto(proof),
    now,
  });
  return look.ok ? look.prove() : look;
}

function requestOf(proof: Proof, wishes = {}): Uint8Array {
  const request = schemeOf(proof).build(openSessionCrypto(proof), time, wishes);
  if (!request) throw new Error('nothing was built');
  return request;
}

/** A packet as other versions make it: with these fields alone. */
function signedBy(proof: Signed, extensions: readonly Extension[] = [], length = 0): Uint8Array {
  const { sign, random } = openSessionCrypto(proof);
  if (!sign) throw new Error('no key');
  return buildAuth(proof, time, { sign, random }, { extensions, length });
}

describe.each([
  ['none', none, none, [0]],
  ['token', token, token, [11]],
  ['ed25519', clientProof, serverProof, [32, 56, 73, 85, 90, 96, 97, 102, 140, 200]],
] as const)('scheme %s', (kind, own, peer, lengths) => {
  const sender = schemeOf(own);
  const request = requestOf(own);

  it('names the lengths of its packets', () => {
    expect(authLengths([own])).toEqual(lengths);
    expect(lengths).toContain(request.length);
    expect(lengths).toContain(requestOf(own, { pathMtu: 1252 }).length);
  });

  it('accepts what the other side builds', () => {
    expect(judge(peer, request).ok).toBe(true);
  });

  it('never answers with more than was asked', () => {
    const reply = answerTo(peer, request);
    expect(reply.length).toBeLessThanOrEqual(request.length);
    expect(Buffer.from(reply).equals(request.toReversed())).toBe(kind !== 'ed25519');
    if (kind !== 'none') expect(heed(own, reply, request)).toMatchObject({ ok: true, answers: 0 });
  });

  it('makes requests of any length, answered by just as many bytes, where it can pad', () => {
    for (const length of [73, 85, 90, 97, 102, 576, 1337, 1472]) {
      const padded = requestOf(own, { length, pathMtu: 1252 });
      const wanted = sender.extensible ? Math.max(102, length) : request.length;
      expect(padded).toHaveLength(wanted);
      expect(judge(peer, padded)).toMatchObject({
        ok: true,
        pathMtu: sender.extensible ? 1252 : undefined,
      });
      const reply = answerTo(peer, padded);
      expect(reply).toHaveLength(wanted);
      if (sender.signedReplies) expect(heed(own, reply, padded).ok).toBe(true);
    }
  });

  it('accepts no other bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), (payload) => {
        expect(judge(peer, payload).ok).toBe(false);
        expect(heed(own, payload, request).ok).toBe(false);
      }),
    );
  });

  it('refuses its packet cut at every length', () => {
    const reply = answerTo(peer, request);
    for (let length = 0; length < request.length; length++) {
      expect(judge(peer, request.subarray(0, length)).ok).toBe(false);
      expect(heed(own, reply.subarray(0, length), request).ok).toBe(false);
    }
  });
});

describe('scheme ed25519', () => {
  const crypto = openSessionCrypto(serverProof);
  const scheme = schemeOf(serverProof);
  const request = requestOf(clientProof);
  const plain = signedBy(clientProof);

  it('refuses a packet with any one bit changed', () => {
    for (let bit = 0; bit < request.length * 8; bit += 7) {
      const altered = request.slice();
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(judge(serverProof, altered).ok).toBe(false);
    }
  });

  it('accepts a signed trailer of anything', () => {
    const { sign } = openSessionCrypto(clientProof);
    if (!sign) throw new Error('no key');
    const signed = Buffer.concat([plain.subarray(64), utf8('and more')]);
    const packet = Buffer.concat([sign(Buffer.concat([signed, secret])), signed]);
    expect(judge(serverProof, packet).ok).toBe(true);
    expect(answerTo(serverProof, packet).length).toBeLessThanOrEqual(packet.length);
  });

  it('answers with the request reversed where it has not both keys', () => {
    const verifier: Proof = { ...serverProof, privateSeed: undefined };
    expect(answerTo(verifier, request)).toEqual(request.toReversed());
  });

  it('tells whose key made a packet, by its hint, to whom has that key', () => {
    expect(scheme.hinted(request)).toBe(true);
    expect(Buffer.from(hintOf(request) ?? [])).toEqual(
      Buffer.from(client.publicKey.subarray(0, 8)),
    );
    expect(Buffer.from(request.subarray(76, 84))).toEqual(
      Buffer.from(client.publicKey.subarray(0, 8)),
    );
    expect(schemeOf(clientProof).hinted(request)).toBe(false);
    expect(scheme.hinted(request.subarray(0, 73))).toBe(false);
  });

  it('does not look at the clock when no difference is set', () => {
    const unchecked = { ...serverProof, maxTimeDiscrepancy: seconds(0) };
    expect(judge(unchecked, request, undefined, millis(0)).ok).toBe(true);
  });

  it('cannot check without a public key, nor build without a private one', () => {
    const bare: Proof = { ...serverProof, privateSeed: undefined, peerPublicKey: undefined };
    expect(judge(bare, request)).toEqual({ ok: false, reason: 'unverifiable' });
    expect(schemeOf(bare).build(openSessionCrypto(bare), time)).toBeUndefined();
    expect(crypto.sign).toBeDefined();
  });
});

describe('a signed packet is bound', () => {
  const request = requestOf(clientProof);
  /** Another server that the same client key and secret are configured at. */
  const other = generateKeyPair();
  const otherServer: Signed = { ...serverProof, privateSeed: other.privateSeed };
  /** A client that does not know the server's key. */
  const blind: Signed = { ...clientProof, peerPublicKey: undefined };

  it('to the server that it was made for', () => {
    expect(judge(otherServer, request)).toEqual({ ok: false, reason: 'bound-elsewhere' });
    expect(judge({ ...serverProof, privateSeed: undefined }, request).ok).toBe(true);
  });

  it('to no server where the client knows no key', () => {
    for (const server of [serverProof, otherServer]) {
      expect(judge(server, requestOf(blind)).ok).toBe(true);
    }
  });

  it('to its direction: a reply is no request, and a request no reply', () => {
    const reply = answerTo(serverProof, request);
    // Where the server is a client itself, with the key and secret that it signs its replies with.
    expect(judge(clientProof, reply)).toEqual({ ok: false, reason: 'wrong-direction' });
    expect(heed(serverProof, request, plainRequest())).toEqual({
      ok: false,
      reason: 'wrong-direction',
    });
  });

  it('to the request that it answers, whatever the clocks say', () => {
    const reply = answerTo(serverProof, request);
    expect(heed(clientProof, reply, plainRequest(), request)).toMatchObject({ answers: 1 });
    expect(heed(clientProof, reply, requestOf(clientProof))).toEqual({
      ok: false,
      reason: 'unsolicited',
    });
    const look = schemeOf(clientProof).takeReply(undefined, reply, [request], {
      crypto: openSessionCrypto(clientProof),
      now: millis(0),
    });
    expect(look.ok && look.prove().ok).toBe(true);
  });

  it.each([
    ['the first implementation', [], 73, false],
    ['ipipou 0.2', [field.hint(client.publicKey)], 85, true],
    ['ipipou 0.2 that reports', [field.hint(client.publicKey), field.pathMtu(1252)], 90, true],
  ])('or was made by %s', (_what, fields, length, bound) => {
    const old = signedBy(clientProof, fields);
    expect(old).toHaveLength(length);
    expect(judge(serverProof, old).ok).toBe(true);
    expect(judge(otherServer, old).ok).toBe(true);
    const reply = answerTo(serverProof, old);
    expect(reply).toHaveLength(length);
    expect(heed(clientProof, reply, old)).toMatchObject({
      ok: true,
      answers: bound ? 0 : undefined,
    });
    expect(judge(clientProof, reply).ok).toBe(!bound);
  });

  function plainRequest(): Uint8Array {
    return signedBy(clientProof);
  }
});

describe('a refusal', () => {
  const late = millis((time + 412) * 1000);

  /** What a server tells of a packet that it refuses, by its clock. */
  function told(payload: Uint8Array, proof: Proof = serverProof, replay?: Replay, at = late) {
    const look = schemeOf(proof).takeRequest(replay, payload, {
      crypto: openSessionCrypto(proof),
      now: at,
    });
    if (look.ok) throw new Error('accepted');
    const notice = noticeOf(look);
    return notice && look.tell?.(time, notice);
  }

  it('is told to who signed the packet, in as many bytes, and is no success', () => {
    for (const wishes of [{}, { pathMtu: 1252 }, { length: 1472 }]) {
      const request = requestOf(clientProof, wishes);
      const word = told(request);
      expect(word).toHaveLength(request.length);
      expect(heed(clientProof, word ?? request, request)).toMatchObject({
        answers: 0,
        notice: { reason: 'clock', seconds: -412 },
      });
    }
  });

  it('says how old a packet is, and nothing of one that came before', () => {
    const request = requestOf(clientProof);
    const heard = (replay: Replay) =>
      heed(clientProof, told(request, serverProof, replay, now) ?? request, request);
    const newest = seconds(time + 7);
    expect(heard({ newest, seen: [] })).toMatchObject({ notice: { reason: 'stale', seconds: -7 } });
    const accepted = judge(serverProof, request);
    if (!accepted.ok || !accepted.replay) throw new Error('refused');
    expect(told(request, serverProof, accepted.replay, now)).toBeUndefined();
  });

  it('is not told to who did not sign, nor to who would not understand it, nor by who cannot sign', () => {
    const forged = requestOf(clientProof);
    forged[40] = (forged[40] ?? 0) ^ 1;
    expect(told(forged)).toBeUndefined();
    expect(told(signedBy(clientProof, [field.hint(client.publicKey)], 1000))).toBeUndefined();
    expect(
      told(requestOf(clientProof), { ...serverProof, privateSeed: undefined }),
    ).toBeUndefined();
  });

  it('for a reason that is not known is one all the same', () => {
    const request = requestOf(clientProof);
    const unknown = { type: EXTENSION.refused, value: Uint8Array.of(99, 0, 0, 0, 1) };
    const word = signedBy(serverProof, [field.answers(request), unknown], 97);
    expect(heed(clientProof, word, request)).toMatchObject({
      notice: { reason: 'other', seconds: 1 },
    });
  });
});

describe('mark', () => {
  const otherKey: Proof = { ...serverProof, peerPublicKey: decodePublicKey(server.publicKey) };
  const otherSecret: Proof = { ...serverProof, secret: utf8('other') };
  const otherToken: Proof = { kind: 'token', token: utf8('open barley') };

  it('tells configured proofs apart', () => {
    const proofs: readonly Proof[] = [none, token, otherToken, serverProof, otherKey, otherSecret];
    const marks = proofs.map((proof) => schemeOf(proof).mark());
    expect(new Set(marks).size).toBe(proofs.length);
  });

  it('stays when nothing that proves changes', () => {
    const looser: Proof = { ...serverProof, maxTimeDiscrepancy: seconds(0) };
    expect(schemeOf(looser).mark()).toBe(schemeOf(serverProof).mark());
  });
});

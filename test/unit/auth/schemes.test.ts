import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateKeyPair, openSessionCrypto } from '../../../src/adapters/crypto.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { authLengths, isInnerPacket, schemeOf } from '../../../src/core/auth/schemes.ts';
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
const clientProof: Proof = {
  kind: 'ed25519',
  privateSeed: client.privateSeed,
  peerPublicKey: decodePublicKey(server.publicKey),
  secret,
  maxTimeDiscrepancy,
};
const serverProof: Proof = {
  ...clientProof,
  privateSeed: server.privateSeed,
  peerPublicKey: decodePublicKey(client.publicKey),
};

describe.each([
  ['none', none, none, [0]],
  ['token', token, token, [11]],
  ['ed25519', clientProof, serverProof, [73, 85, 90]],
] as const)('scheme %s', (kind, own, peer, lengths) => {
  const sender = schemeOf(own);
  const receiver = schemeOf(peer);
  const request = sender.build(openSessionCrypto(own), time) ?? utf8('nothing was built');

  it('names the lengths of its packets', () => {
    expect(authLengths([own])).toEqual(lengths);
    expect(lengths).toContain(request.length);
  });

  it('accepts what the other side builds', () => {
    expect(receiver.shape(request)).toEqual({ ok: true });
    expect(receiver.screen(request, now, undefined)).toEqual({ ok: true });
    expect(receiver.prove(request, openSessionCrypto(peer))).toEqual({ ok: true });
  });

  it('never answers with more than was asked', () => {
    const reply = receiver.reply(openSessionCrypto(peer), request, time);
    expect(reply.length).toBeLessThanOrEqual(request.length);
    expect(Buffer.from(reply).equals(request.toReversed())).toBe(kind !== 'ed25519');
  });

  it('makes requests of any length, answered by just as many bytes, where it can pad', () => {
    for (const length of [73, 85, 90, 576, 1337, 1472]) {
      const wishes = { length, pathMtu: 1252 };
      const padded =
        sender.build(openSessionCrypto(own), time, wishes) ?? utf8('nothing was built');
      const wanted = sender.extensible ? Math.max(90, length) : request.length;
      expect(padded).toHaveLength(wanted);
      expect(receiver.prove(padded, openSessionCrypto(peer))).toEqual({ ok: true });
      const reply = receiver.reply(openSessionCrypto(peer), padded, time);
      expect(reply).toHaveLength(wanted);
      if (sender.signedReplies) expect(sender.prove(reply, openSessionCrypto(own)).ok).toBe(true);
    }
  });

  it('accepts no other bytes', () => {
    const crypto = openSessionCrypto(peer);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), (payload) => {
        const ok = receiver.shape(payload).ok && receiver.prove(payload, crypto).ok;
        expect(ok).toBe(false);
      }),
    );
  });

  it('refuses its packet cut at every length', () => {
    for (let length = 0; length < request.length; length++) {
      const cut = request.subarray(0, length);
      const ok = receiver.shape(cut).ok && receiver.prove(cut, openSessionCrypto(peer)).ok;
      expect(ok).toBe(false);
    }
  });
});

describe('scheme ed25519', () => {
  const crypto = openSessionCrypto(serverProof);
  const scheme = schemeOf(serverProof);
  const request = schemeOf(clientProof).build(openSessionCrypto(clientProof), time);
  if (!request) throw new Error('no request');

  it('refuses a packet with any one bit changed', () => {
    for (let bit = 0; bit < request.length * 8; bit += 7) {
      const altered = request.slice();
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(scheme.prove(altered, crypto)).toEqual({ ok: false, reason: 'signature' });
    }
  });

  it('accepts a signed trailer', () => {
    const { sign } = openSessionCrypto(clientProof);
    if (!sign) throw new Error('no key');
    const signed = Buffer.concat([request.subarray(64), utf8('and more')]);
    const packet = Buffer.concat([sign(Buffer.concat([signed, secret])), signed]);
    expect(scheme.prove(packet, crypto)).toEqual({ ok: true });
    expect(scheme.reply(crypto, packet, time).length).toBeLessThanOrEqual(packet.length);
  });

  it('answers with a signature of its own when it has both keys, else with the request reversed', () => {
    const reply = scheme.reply(crypto, request, time);
    expect(schemeOf(clientProof).prove(reply, openSessionCrypto(clientProof)).ok).toBe(true);
    const verifier: Proof = { ...serverProof, privateSeed: undefined };
    const reversed = schemeOf(verifier).reply(openSessionCrypto(verifier), request, time);
    expect(reversed).toEqual(request.toReversed());
  });

  it('tells whose key made a packet, by its hint, to whom has that key', () => {
    expect(scheme.hinted(request)).toBe(true);
    expect(schemeOf(clientProof).hinted(request)).toBe(false);
    expect(scheme.hinted(request.subarray(0, 73))).toBe(false);
  });

  it('answers with a hint only who asked with as many bytes', () => {
    expect(schemeOf(clientProof).hinted(scheme.reply(crypto, request, time))).toBe(true);
    const { sign, random } = openSessionCrypto(clientProof);
    const plain = schemeOf(clientProof).build({ ...(sign && { sign }), random }, time);
    expect(plain).toHaveLength(73);
    expect(scheme.reply(crypto, plain ?? new Uint8Array(), time)).toHaveLength(73);
  });

  it('does not look at the clock when no difference is set', () => {
    const unchecked = schemeOf({ ...serverProof, maxTimeDiscrepancy: seconds(0) });
    expect(unchecked.screen(request, millis(0), undefined)).toEqual({ ok: true });
  });

  it('cannot check without a public key, nor build without a private one', () => {
    const bare: Proof = { ...serverProof, privateSeed: undefined, peerPublicKey: undefined };
    const without = openSessionCrypto(bare);
    expect(schemeOf(bare).prove(request, without)).toEqual({ ok: false, reason: 'unverifiable' });
    expect(schemeOf(bare).build(without, time)).toBeUndefined();
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

describe('isInnerPacket', () => {
  const ipv4 = Uint8Array.from([0x45, 0, 0, 24, ...new Uint8Array(20)]);
  const ipv6 = Uint8Array.from([0x60, 0, 0, 0, 0, 2, ...new Uint8Array(36)]);

  it('knows whole IPv4 and IPv6 packets', () => {
    expect(isInnerPacket(ipv4)).toBe(true);
    expect(isInnerPacket(ipv6)).toBe(true);
  });

  it('refuses them cut or grown', () => {
    for (const packet of [ipv4, ipv6]) {
      for (let length = 0; length < packet.length; length++) {
        expect(isInnerPacket(packet.subarray(0, length))).toBe(false);
      }
      expect(isInnerPacket(Uint8Array.from([...packet, 0]))).toBe(false);
    }
  });
});

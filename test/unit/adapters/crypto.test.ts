import { describe, expect, it } from 'vitest';
import { generateKeyPair, openSessionCrypto, publicKeyOf } from '../../../src/adapters/crypto.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import type { Proof } from '../../../src/core/config/tunnel-config.ts';
import { seconds } from '../../../src/core/units.ts';

const base64 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const proofOf = (privateSeed?: Uint8Array, publicKey?: Uint8Array): Proof => ({
  kind: 'ed25519',
  privateSeed,
  peerPublicKey: publicKey && decodePublicKey(publicKey),
  secret: new Uint8Array(),
  maxTimeDiscrepancy: seconds(0),
});

describe('publicKeyOf', () => {
  it('knows the public half of the test pair', () => {
    const seed = base64('RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=');
    expect(publicKeyOf(seed)).toEqual(base64('eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI='));
  });

  it('agrees with RFC 8032, section 7.1, test 1', () => {
    const seed = Buffer.from(
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'hex',
    );
    expect(Buffer.from(publicKeyOf(seed)).toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    );
    const signature = openSessionCrypto(proofOf(seed)).sign?.(new Uint8Array());
    expect(Buffer.from(signature ?? []).toString('hex')).toBe(
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    );
  });

  it('refuses a seed of another length', () => {
    expect(() => publicKeyOf(new Uint8Array(31))).toThrow(RangeError);
  });
});

describe('openSessionCrypto', () => {
  const pair = generateKeyPair();
  const message = Uint8Array.of(1, 2, 3);

  it('verifies what the other half signed, and nothing else', () => {
    const { sign } = openSessionCrypto(proofOf(pair.privateSeed));
    const { verify } = openSessionCrypto(proofOf(undefined, pair.publicKey));
    const signature = sign?.(message) ?? new Uint8Array();
    expect(signature).toHaveLength(64);
    expect(verify?.(message, signature)).toBe(true);
    expect(verify?.(Uint8Array.of(1, 2, 4), signature)).toBe(false);
    expect(verify?.(message, signature.subarray(0, 63))).toBe(false);
    const stranger = openSessionCrypto(proofOf(undefined, generateKeyPair().publicKey));
    expect(stranger.verify?.(message, signature)).toBe(false);
  });

  it('has only what there are keys for', () => {
    expect(openSessionCrypto({ kind: 'none' })).not.toHaveProperty('sign');
    expect(openSessionCrypto(proofOf())).not.toHaveProperty('verify');
    expect(openSessionCrypto(proofOf(pair.privateSeed))).not.toHaveProperty('verify');
  });

  it('takes a public key that is no point for one that verifies nothing', () => {
    const { verify } = openSessionCrypto(proofOf(undefined, new Uint8Array(32).fill(255)));
    expect(verify?.(message, new Uint8Array(64))).toBe(false);
  });

  it('refuses a seed of another length', () => {
    expect(() => openSessionCrypto(proofOf(new Uint8Array(33)))).toThrow(RangeError);
  });

  it('draws as many random bytes as asked for', () => {
    expect(openSessionCrypto({ kind: 'none' }).random(7)).toHaveLength(7);
  });
});

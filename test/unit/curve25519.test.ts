import { hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { publicKeyOf } from '../../src/adapters/crypto.ts';
import { dhPairOf, noiseCrypto } from '../../src/adapters/crypto-noise.ts';
import { edwardsYOf, inverse, montgomeryOf } from '../../src/core/curve25519.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const little = (value: bigint): Uint8Array =>
  bytes(value.toString(16).padStart(64, '0')).toReversed();
const P = (1n << 255n) - 19n;
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe('keys of ed25519 and X25519', () => {
  it("are the same point's: that of the secret is that of the public key, and back but for the sign", () => {
    fc.assert(
      fc.property(seed, (seed) => {
        const edwards = publicKeyOf(seed);
        const { publicKey } = dhPairOf(seed);
        expect(montgomeryOf(edwards)).toEqual(publicKey);
        expect(edwardsYOf(publicKey)).toEqual(edwards.with(31, (edwards[31] ?? 0) & 0x7f));
      }),
    );
  });

  it('has the base points of both curves (RFC 7748, 4.1)', () => {
    const base = bytes('58'.padEnd(64, '6')); // y = 4/5
    expect(montgomeryOf(base)).toEqual(little(9n));
    expect(edwardsYOf(little(9n))).toEqual(base);
  });

  it('divides by every number but 0', () => {
    const small = Array.from({ length: 300 }, (_unused, n) => BigInt(n + 1));
    const powers = Array.from({ length: 255 }, (_unused, n) => 1n << BigInt(n));
    const near = [...small, ...powers.flatMap((power) => [power - 1n, power, power + 1n])];
    const value = fc.oneof(
      fc.bigInt({ min: 1n, max: P - 1n }),
      fc.constantFrom(...near.flatMap((n) => [n, P - n]).filter((n) => n > 0n && n < P)),
    );
    fc.assert(
      fc.property(value, (value) => {
        const inverted = inverse(value);
        expect((value * inverted) % P).toBe(1n);
        expect(inverted >= 0n && inverted < P).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('is undefined where there is none', () => {
    expect(montgomeryOf(little(1n))).toBeUndefined();
    expect(edwardsYOf(little(P - 1n))).toBeUndefined();
    for (const map of [montgomeryOf, edwardsYOf]) {
      expect(map(little(P))).toBeUndefined();
      expect(map(new Uint8Array(31))).toBeUndefined();
      expect(map(new Uint8Array(33))).toBeUndefined();
    }
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        for (const map of [montgomeryOf, edwardsYOf]) {
          const length = map(bytes)?.length;
          expect(length === undefined || length === 32).toBe(true);
        }
      }),
    );
  });
});

describe('X25519', () => {
  it("is RFC 7748's example (5.2)", () => {
    const scalar = bytes('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4');
    const point = bytes('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c');
    expect(noiseCrypto.dh(scalar, point)).toEqual(
      bytes('c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552'),
    );
  });

  it.each([
    ['0', little(0n)],
    ['1', little(1n)],
    ['-1', little(P - 1n)],
    ['of order 8', bytes('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800')],
    ['of order 8, too', bytes('5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157')],
    ['0, written as p', little(P)],
    ['1, written as p + 1', little(P + 1n)],
    ['of 31 bytes', new Uint8Array(31).fill(9)],
  ])('refuses the point %s', (_what, point) => {
    expect(noiseCrypto.dh(noiseCrypto.random(32), point)).toBeUndefined();
  });

  it('agrees from both sides', () => {
    fc.assert(
      fc.property(seed, seed, (a, b) => {
        const [one, other] = [dhPairOf(a), dhPairOf(b)];
        expect(noiseCrypto.dh(one.secret, other.publicKey)).toEqual(
          noiseCrypto.dh(other.secret, one.publicKey),
        );
      }),
      { numRuns: 20 },
    );
  });
});

describe('what Noise is made of', () => {
  const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');
  const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

  it('is HKDF of RFC 5869 (A.1), and SHA-256 over parts', () => {
    const okm = noiseCrypto.hkdf(
      new Uint8Array(22).fill(0x0b),
      bytes('000102030405060708090a0b0c'),
      bytes('f0f1f2f3f4f5f6f7f8f9'),
      42,
    );
    expect(hex(okm)).toBe(
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    );
    expect(noiseCrypto.sha256(utf8('a'), utf8(''), utf8('bc'))).toEqual(
      noiseCrypto.sha256(utf8('abc')),
    );
  });

  it("is OpenSSL's HKDF at every length", () => {
    const [key, salt, info] = [32, 32, 7].map((length) => noiseCrypto.random(length));
    if (!key || !salt || !info) return;
    for (let length = 1; length <= 200; length += 1) {
      for (const some of [salt, new Uint8Array()]) {
        const derived = hkdfSync('sha256', key, some, info, length);
        expect(noiseCrypto.hkdf(key, some, info, length)).toEqual(new Uint8Array(derived));
      }
    }
  });

  it('takes nonces of 64 bits, the low byte first', () => {
    const key = new Uint8Array(32).fill(1);
    const nonces = [0, 1, 2 ** 32, 2 ** 32 - 1, Number.MAX_SAFE_INTEGER];
    const sealed = nonces.map((nonce) => hex(noiseCrypto.seal(key, nonce, utf8('ad'), utf8('x'))));
    expect(new Set(sealed).size).toBe(nonces.length);
    for (const [index, nonce] of nonces.entries()) {
      const opened = noiseCrypto.open(key, nonce, utf8('ad'), bytes(sealed[index] ?? ''));
      expect(opened).toEqual(utf8('x'));
      expect(noiseCrypto.open(key, nonce, utf8('da'), bytes(sealed[index] ?? ''))).toBeUndefined();
    }
    expect(noiseCrypto.open(key, 0, utf8(''), new Uint8Array(15))).toBeUndefined();
  });
});

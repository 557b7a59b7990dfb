/**
 * The primitives of session 2 without cryptography: quick, and repeatable from a seed. Nobody in the simulation
 * breaks them, since nobody computes them but the owners of keys. All that holds of the true ones, and that the
 * machine depends on, holds: both sides get the same secret, and what was altered does not open.
 */
import { edwardsYOf } from '../../src/core/curve25519.ts';
import { clientKeysOf, pskOf, serverKeysOf } from '../../src/core/handshake/keys.ts';
import {
  generateDhPair,
  NOISE_KEY_BYTES,
  SEAL_BYTES,
  type DhPair,
  type NoiseCrypto,
} from '../../src/core/noise/types.ts';
import type { SecureCrypto } from '../../src/core/session/secure/crypto.ts';
import type { Random } from './random.ts';

const SECRET = new TextEncoder().encode('topsecret');

/** Two pairs of X25519, and the ed25519 public keys that they belong to. */
export function fakeDhPairs(random: Random) {
  const noise = fakeNoise(random);
  const draw = (): { readonly pair: DhPair; readonly edwards: Uint8Array } => {
    for (;;) {
      const pair = generateDhPair(noise);
      const edwards = edwardsYOf(pair.publicKey);
      if (edwards) return { pair, edwards };
    }
  };
  return [draw(), draw()] as const;
}

export function fakeSecure(random: Random, own: DhPair, peer: Uint8Array): SecureCrypto {
  const noise = fakeNoise(random);
  const serverKeys = serverKeysOf(noise, own);
  const clientKeys = clientKeysOf(noise, own, peer, SECRET);
  const psk = pskOf(noise, SECRET);
  return {
    noise,
    serverKeys: () => serverKeys,
    clientKeys: () => clientKeys,
    peer: () => peer,
    psk: () => psk,
  };
}

function fakeNoise(random: Random): NoiseCrypto {
  return {
    dh: (secret, publicKey) => products(secret, publicKey),
    dhPublic: (secret) => products(secret, BASE),
    seal(key, counter, associated, plaintext) {
      const sealed = new Uint8Array(plaintext.length + SEAL_BYTES);
      sealed.set(masked(key, counter, plaintext));
      sealed.set(proofOf(key, counter, associated, plaintext), plaintext.length);
      return sealed;
    },
    open(key, counter, associated, sealed) {
      const length = sealed.length - SEAL_BYTES;
      if (length < 0) return undefined;
      const plaintext = masked(key, counter, sealed.subarray(0, length));
      const proof = proofOf(key, counter, associated, plaintext);
      return proof.every((byte, index) => byte === sealed[length + index]) ? plaintext : undefined;
    },
    sha256: (...parts) => digest(parts),
    hkdf(key, salt, info, length) {
      const derived = new Uint8Array(Math.ceil(length / NOISE_KEY_BYTES) * NOISE_KEY_BYTES);
      for (let at = 0; at < length; at += NOISE_KEY_BYTES) {
        derived.set(digest([salt, key, info, numberOf(at)]), at);
      }
      return derived.subarray(0, length);
    },
    random: random.bytes,
  };
}

const BASE = Uint8Array.from({ length: NOISE_KEY_BYTES }, (_unused, index) => 2 * index + 3);

/** Products of odd numbers: whoever multiplies first, they are the same. */
function products(one: Uint8Array, other: Uint8Array): Uint8Array {
  const words = (key: Uint8Array): Uint32Array => new Uint32Array(key.slice().buffer);
  const [a, b] = [words(one), words(other)];
  const both = a.map((word, index) => Math.imul(word | 1, (b[index] ?? 0) | 1));
  return new Uint8Array(both.buffer);
}

function masked(key: Uint8Array, counter: number, bytes: Uint8Array): Uint8Array {
  const mask = digest([key, numberOf(counter)]);
  return bytes.map((byte, index) => byte ^ (mask[index % NOISE_KEY_BYTES] ?? 0));
}

function proofOf(
  key: Uint8Array,
  counter: number,
  associated: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  return digest([key, numberOf(counter), associated, plaintext]).subarray(0, SEAL_BYTES);
}

function numberOf(value: number): Uint8Array {
  return new Uint8Array(Float64Array.of(value).buffer);
}

/** 32 bytes of two states of 32 bits. */
export function digest(parts: readonly Uint8Array[]): Uint8Array {
  let [one, other] = [0x811c9dc5, 0x01000193];
  for (const part of parts) {
    one ^= part.length;
    for (const byte of part) {
      one = Math.imul(one ^ byte, 0x01000193);
      other = Math.imul(other ^ byte ^ (one >>> 13), 0x85ebca6b);
    }
  }
  const words = new Uint32Array(NOISE_KEY_BYTES / 4);
  for (let index = 0; index < words.length; index += 1) {
    one = Math.imul(one ^ (one >>> 15) ^ other, 0xc2b2ae35) + index;
    other = Math.imul(other ^ (other >>> 13) ^ one, 0x27d4eb2f);
    words[index] = one ^ (other >>> 16);
  }
  return new Uint8Array(words.buffer);
}

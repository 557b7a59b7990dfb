/**
 * SymmetricState of the Noise Protocol Framework (revision 34, 5.2) with SHA-256 and ChaChaPoly, as values.
 * Noise's own HKDF is that of RFC 5869 without info.
 */
import { NOISE_KEY_BYTES, type NoiseCrypto } from './types.ts';

export type Symmetric = {
  readonly chainingKey: Uint8Array;
  readonly hash: Uint8Array;
  /** Before the first mixKey there is none, and nothing is sealed. */
  readonly key: Uint8Array | undefined;
  /** Of the next message under `key`. */
  readonly nonce: number;
};

const NOTHING = new Uint8Array();

export function startSymmetric(crypto: NoiseCrypto, protocol: string): Symmetric {
  const name = new TextEncoder().encode(protocol);
  const hash = new Uint8Array(NOISE_KEY_BYTES);
  if (name.length <= hash.length) hash.set(name);
  else hash.set(crypto.sha256(name));
  return { chainingKey: hash, hash, key: undefined, nonce: 0 };
}

export function mixHash(crypto: NoiseCrypto, from: Symmetric, data: Uint8Array): Symmetric {
  return { ...from, hash: crypto.sha256(from.hash, data) };
}

export function mixKey(crypto: NoiseCrypto, from: Symmetric, material: Uint8Array): Symmetric {
  const [chainingKey, key] = derive(crypto, from.chainingKey, material, 2);
  return { hash: from.hash, chainingKey, key, nonce: 0 };
}

export function mixKeyAndHash(
  crypto: NoiseCrypto,
  from: Symmetric,
  material: Uint8Array,
): Symmetric {
  const [chainingKey, hashed, key] = derive(crypto, from.chainingKey, material, 3);
  return { chainingKey, hash: crypto.sha256(from.hash, hashed), key, nonce: 0 };
}

/** Seals (once there is a key) and hashes what is sent. */
export function sealAndHash(
  crypto: NoiseCrypto,
  from: Symmetric,
  plaintext: Uint8Array,
): { readonly state: Symmetric; readonly sealed: Uint8Array } {
  const { key, nonce, hash } = from;
  const sealed = key ? crypto.seal(key, nonce, hash, plaintext) : plaintext;
  return { sealed, state: { ...mixHash(crypto, from, sealed), nonce: nonce + 1 } };
}

/** undefined where it is not authentic. */
export function openAndHash(
  crypto: NoiseCrypto,
  from: Symmetric,
  sealed: Uint8Array,
): { readonly state: Symmetric; readonly plaintext: Uint8Array } | undefined {
  const { key, nonce, hash } = from;
  const plaintext = key ? crypto.open(key, nonce, hash, sealed) : sealed;
  if (!plaintext) return undefined;
  return { plaintext, state: { ...mixHash(crypto, from, sealed), nonce: nonce + 1 } };
}

/** The keys of what comes after the handshake: of the initiator's messages, and of the responder's. */
export function split(
  crypto: NoiseCrypto,
  { chainingKey }: Symmetric,
): readonly [Uint8Array, Uint8Array] {
  return derive(crypto, chainingKey, NOTHING, 2);
}

type Keys = {
  2: readonly [Uint8Array, Uint8Array];
  3: readonly [Uint8Array, Uint8Array, Uint8Array];
};

function derive<Count extends 2 | 3>(
  crypto: NoiseCrypto,
  chainingKey: Uint8Array,
  material: Uint8Array,
  count: Count,
): Keys[Count] {
  const all = crypto.hkdf(material, chainingKey, NOTHING, count * NOISE_KEY_BYTES);
  const keys = Array.from({ length: count }, (_unused, index) =>
    all.subarray(index * NOISE_KEY_BYTES, (index + 1) * NOISE_KEY_BYTES),
  );
  return keys as unknown as Keys[Count]; // of that many
}

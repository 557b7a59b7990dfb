/** Of keys of X25519, of hashes, of chaining keys. */
export const NOISE_KEY_BYTES = 32;
/** What sealing adds. */
export const SEAL_BYTES = 16;

/** An X25519 pair. The arrays are never changed once they are here: what is made of them is kept by them. */
export type DhPair = { readonly secret: Uint8Array; readonly publicKey: Uint8Array };

/** The primitives of Noise_*_25519_ChaChaPoly_SHA256; injected, so that the machine is pure. None throws. */
export interface NoiseCrypto {
  /** X25519 (RFC 7748). undefined where all bytes of the result are 0: the public key has a low order. */
  readonly dh: (secret: Uint8Array, publicKey: Uint8Array) => Uint8Array | undefined;
  readonly dhPublic: (secret: Uint8Array) => Uint8Array;
  /**
   * ChaCha20-Poly1305 (RFC 8439), the tag behind the ciphertext. The nonce is 4 bytes of 0 and `counter` in 8,
   * the low byte first; a counter is a safe integer.
   */
  readonly seal: (
    key: Uint8Array,
    counter: number,
    associated: Uint8Array,
    plaintext: Uint8Array,
  ) => Uint8Array;
  /** The plaintext; undefined where the tag is wrong, or there is no room for one. */
  readonly open: (
    key: Uint8Array,
    counter: number,
    associated: Uint8Array,
    sealed: Uint8Array,
  ) => Uint8Array | undefined;
  /** Over all parts, one behind the other. */
  readonly sha256: (...parts: readonly Uint8Array[]) => Uint8Array;
  /** HKDF (RFC 5869) with SHA-256. */
  readonly hkdf: (
    key: Uint8Array,
    salt: Uint8Array,
    info: Uint8Array,
    length: number,
  ) => Uint8Array;
  /** `length` fresh random bytes. */
  readonly random: (length: number) => Uint8Array;
}

export function generateDhPair(crypto: NoiseCrypto): DhPair {
  const secret = crypto.random(NOISE_KEY_BYTES);
  return { secret, publicKey: crypto.dhPublic(secret) };
}

/** NoiseCrypto over node:crypto, and X25519 keys of ed25519 ones. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  randomBytes,
  type JsonWebKeyInput,
  type KeyObject,
} from 'node:crypto';
import { setU32le } from '../core/bytes.ts';
import { SEAL_BYTES, type DhPair, type NoiseCrypto } from '../core/noise/types.ts';

const CIPHER = 'chacha20-poly1305';
const NONCE_BYTES = 12;
const HASH_BYTES = 32;
/** As much as Noise derives at once. */
const SHORT = 3 * HASH_BYTES;
const OPTIONS = { authTagLength: SEAL_BYTES } as const;

/**
 * Where the bytes of a key have what OpenSSL has made of them: a private one takes 36 microseconds, as much as an
 * operation with it. (From DER it is ten times as much; a WeakMap costs the garbage collector a sixth of a handshake.)
 */
const MADE = Symbol('made of it');
type Kept = Uint8Array & { readonly [MADE]?: KeyObject };

export const noiseCrypto: NoiseCrypto = {
  dh(secret, publicKey) {
    try {
      const keys = { privateKey: secretOf(secret), publicKey: publicOf(publicKey) };
      return bytesOf(diffieHellman(keys));
    } catch {
      return undefined; // OpenSSL refuses a result of zeros
    }
  },
  dhPublic(secret) {
    const { x } = createPublicKey(secretOf(secret)).export({ format: 'jwk' });
    return bytesOf(Buffer.from(x ?? '', 'base64url'));
  },
  seal(key, counter, associated, plaintext) {
    const cipher = createCipheriv(CIPHER, key, nonceOf(counter), OPTIONS);
    cipher.setAAD(associated, { plaintextLength: plaintext.length });
    const sealed = new Uint8Array(plaintext.length + SEAL_BYTES);
    sealed.set(cipher.update(plaintext));
    cipher.final();
    sealed.set(cipher.getAuthTag(), plaintext.length);
    return sealed;
  },
  open(key, counter, associated, sealed) {
    const length = sealed.length - SEAL_BYTES;
    if (length < 0) return undefined;
    const decipher = createDecipheriv(CIPHER, key, nonceOf(counter), OPTIONS);
    decipher.setAAD(associated, { plaintextLength: length });
    decipher.setAuthTag(sealed.subarray(length));
    const plaintext = decipher.update(sealed.subarray(0, length));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    return bytesOf(plaintext);
  },
  sha256(...parts) {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return bytesOf(hash.digest());
  },
  hkdf: (key, salt, info, length) =>
    length <= SHORT
      ? shortHkdf(key, salt, info, length)
      : new Uint8Array(hkdfSync('sha256', key, salt, info, length)),
  random: (length) => bytesOf(randomBytes(length)),
};

/** Without the objects that hkdfSync makes of its keys: a third less time, eight times in a handshake. */
function shortHkdf(
  key: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const derived = new Uint8Array(SHORT);
  const extracted = createHmac('sha256', salt).update(key).digest();
  for (let block = 0; block * HASH_BYTES < length; block += 1) {
    const at = block * HASH_BYTES;
    const hmac = createHmac('sha256', extracted);
    if (block > 0) hmac.update(derived.subarray(at - HASH_BYTES, at));
    derived.set(
      hmac
        .update(info)
        .update(Uint8Array.of(block + 1))
        .digest(),
      at,
    );
  }
  return derived.subarray(0, length);
}

/** The X25519 pair of an ed25519 seed: RFC 8032, 5.1.5, as far as the secret number. */
export function dhPairOf(seed: Uint8Array): DhPair {
  const secret = Uint8Array.from(createHash('sha512').update(seed).digest().subarray(0, 32));
  secret[0] = (secret[0] ?? 0) & 0xf8;
  secret[31] = ((secret[31] ?? 0) & 0x7f) | 0x40;
  return { secret, publicKey: noiseCrypto.dhPublic(secret) };
}

function secretOf(secret: Kept): KeyObject {
  // `x` is asked for, and not looked at.
  return secret[MADE] ?? keep(secret, createPrivateKey(jwkOf({ d: base64url(secret), x: '' })));
}

function publicOf(publicKey: Kept): KeyObject {
  return publicKey[MADE] ?? keep(publicKey, createPublicKey(jwkOf({ x: base64url(publicKey) })));
}

function keep(bytes: Kept, key: KeyObject): KeyObject {
  Object.defineProperty(bytes, MADE, { value: key });
  return key;
}

function jwkOf(numbers: { readonly d?: string; readonly x: string }): JsonWebKeyInput {
  return { key: { kty: 'OKP', crv: 'X25519', ...numbers }, format: 'jwk' };
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}

function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(NONCE_BYTES);
  setU32le(nonce, 4, counter % 0x1_0000_0000);
  setU32le(nonce, 8, Math.floor(counter / 0x1_0000_0000));
  return nonce;
}

/** Without what a Buffer does in its own way, and without a part in its pool. */
function bytesOf(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer);
}

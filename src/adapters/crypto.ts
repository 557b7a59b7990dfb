/**
 * SessionCrypto and key pairs over node:crypto. Keys are raw 32-byte values (RFC 8032), which
 * OpenSSL takes with the fixed DER headers of RFC 8410 in front.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { montgomeryOf } from '../core/curve25519.ts';
import { clientKeysOf, pskOf, serverKeysOf, type ServerKeys } from '../core/handshake/keys.ts';
import type { DhPair } from '../core/noise/types.ts';
import type { SecureCrypto } from '../core/session/secure/crypto.ts';
import { formatBase64 } from '../core/base64.ts';
import { encodePublicKey, type PublicKey } from '../core/public-key.ts';
import type { Proof } from '../core/config/tunnel-config.ts';
import { LruCache } from '../core/lru-cache.ts';
import type { SessionCrypto } from '../ports/crypto.ts';
import { dhPairOf, noiseCrypto } from './crypto-noise.ts';

/** Bytes of a private seed. */
const SEED_LENGTH = 32;
/** Bytes of a shared secret, which configs have in base64. */
const SECRET_LENGTH = 24;
/** PKCS #8: version 0, algorithm 1.3.101.112, an octet string of 34 bytes that holds one of 32. */
const PKCS8_HEADER = Buffer.from('302e020100300506032b657004220420', 'hex');
/** SubjectPublicKeyInfo: algorithm 1.3.101.112, a bit string of 33 bytes without unused bits. */
const SPKI_HEADER = Buffer.from('302a300506032b6570032100', 'hex');

/**
 * Imported keys kept for their next use, the least used go first: one costs about 2 KiB and 20
 * microseconds to make, so that a tunnel of many peers has no key of each.
 */
const KEYS_MAX = 256;
const ownKeys = new LruCache<string, OwnKey>(KEYS_MAX);
const peerKeys = new LruCache<PublicKey, KeyObject>(KEYS_MAX);

/** The same keys for X25519; of a peer's the public one, which may be no good. */
const ownDhKeys = new LruCache<string, OwnDh>(KEYS_MAX);
const peerDhKeys = new LruCache<PublicKey, { readonly key: Uint8Array | undefined }>(KEYS_MAX);

type OwnDh = { readonly pair: DhPair; readonly serverKeys: ServerKeys };
type OwnKey = { readonly key: KeyObject; readonly publicKey: Uint8Array };

export type KeyPair = { readonly privateSeed: Uint8Array; readonly publicKey: Uint8Array };

/** What a session with this proof needs. Throws RangeError for a seed that is not 32 bytes. */
export function openSessionCrypto(proof: Proof): SessionCrypto {
  const random = (length: number): Uint8Array => randomBytes(length);
  if (proof.kind !== 'ed25519') return { random };
  const { privateSeed, peerPublicKey, secret } = proof;
  if (privateSeed) checkSeed(privateSeed);
  return {
    random,
    ...(privateSeed && {
      sign: (message) => sign(null, message, ownKey(privateSeed).key),
      publicKey: () => ownKey(privateSeed).publicKey,
    }),
    ...(peerPublicKey !== undefined && {
      verify(message, signature) {
        return verify(null, message, peerKey(peerPublicKey), signature);
      },
    }),
    ...(privateSeed &&
      peerPublicKey !== undefined && { secure: secureCrypto(privateSeed, peerPublicKey, secret) }),
  };
}

/** All but the functions are made when they are asked for: most packets need none of it. */
function secureCrypto(seed: Uint8Array, publicKey: PublicKey, secret: Uint8Array): SecureCrypto {
  const peer = (): Uint8Array | undefined =>
    peerDhKeys.get(publicKey, () => ({ key: montgomeryOf(encodePublicKey(publicKey)) })).key;
  return {
    noise: noiseCrypto,
    serverKeys: () => ownDh(seed).serverKeys,
    clientKeys() {
      const key = peer();
      return key && clientKeysOf(noiseCrypto, ownDh(seed).pair, key, secret);
    },
    peer,
    psk: () => pskOf(noiseCrypto, secret),
  };
}

function ownDh(seed: Uint8Array): OwnDh {
  return ownDhKeys.get(nameOf(seed), () => {
    const pair = dhPairOf(seed);
    return { pair, serverKeys: serverKeysOf(noiseCrypto, pair) };
  });
}

function ownKey(seed: Uint8Array): OwnKey {
  return ownKeys.get(nameOf(seed), () => {
    const key = importSeed(seed);
    return { key, publicKey: exportPublic(key) };
  });
}

function nameOf(seed: Uint8Array): string {
  return Buffer.from(seed.buffer, seed.byteOffset, seed.length).toString('latin1');
}

function peerKey(publicKey: PublicKey): KeyObject {
  return peerKeys.get(publicKey, () => importPublicKey(encodePublicKey(publicKey)));
}

function checkSeed(seed: Uint8Array): void {
  if (seed.length !== SEED_LENGTH) throw new RangeError(`a private seed of ${seed.length} bytes`);
}

/** A new pair from the system's randomness. */
export function generateKeyPair(): KeyPair {
  const { privateKey } = generateKeyPairSync('ed25519');
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  const privateSeed = Uint8Array.from(der.subarray(PKCS8_HEADER.length));
  return { privateSeed, publicKey: publicKeyOf(privateSeed) };
}

/** The public key that belongs to a private seed. Throws RangeError for a seed that is not 32 bytes. */
export function publicKeyOf(privateSeed: Uint8Array): Uint8Array {
  checkSeed(privateSeed);
  return exportPublic(importSeed(privateSeed));
}

/** What both sides make of the seed in an invitation's code: its key, and the secret of the peer that it becomes. */
export function deriveInvitation(seed: Uint8Array): KeyPair & { readonly secret: string } {
  const derive = (what: string, length: number): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', seed, '', `ipipou invitation: ${what}`, length));
  const privateSeed = derive('key', SEED_LENGTH);
  const secret = formatBase64(derive('secret', SECRET_LENGTH));
  return { privateSeed, publicKey: publicKeyOf(privateSeed), secret };
}

/** `length` bytes from the system's randomness. */
export function freshBytes(length: number): Uint8Array {
  return Uint8Array.from(randomBytes(length));
}

/** A new secret for both sides to sign along. */
export function freshSecret(): string {
  return formatBase64(freshBytes(SECRET_LENGTH));
}

function exportPublic(privateKey: KeyObject): Uint8Array {
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return Uint8Array.from(der.subarray(SPKI_HEADER.length));
}

function importSeed(seed: Uint8Array): KeyObject {
  const key = Buffer.concat([PKCS8_HEADER, seed]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

function importPublicKey(publicKey: Uint8Array): KeyObject {
  const key = Buffer.concat([SPKI_HEADER, publicKey]);
  return createPublicKey({ key, format: 'der', type: 'spki' });
}

import { generateKeyPair, openSessionCrypto } from '../../src/adapters/crypto.ts';
import { decodePublicKey, type PublicKey } from '../../src/core/public-key.ts';
import type { SessionCrypto } from '../../src/core/session/types.ts';
import { seconds } from '../../src/core/units.ts';
import type { DhPair } from '../../src/core/noise/types.ts';
import { fakeDhPairs, fakeSecure } from './fake-noise.ts';
import type { Random } from './random.ts';

/** What a key pair does; the simulation hands out both halves of two pairs. */
export type Keys = {
  readonly client: SessionCrypto;
  readonly server: SessionCrypto;
  readonly clientPublic: PublicKey;
  readonly serverPublic: PublicKey;
};

/**
 * Two pairs of a signature that is no cryptography, but quick, and repeatable from a seed: a hash of
 * key and message. Nobody in the simulation forges it, since nobody computes it but the owners.
 */
export function fakeKeys(random: Random, secure = false): Keys {
  const [clientKey, serverKey] = [random.below(2 ** 32), random.below(2 ** 32)];
  const [clientDh, serverDh] = secure ? fakeDhPairs(random) : [];
  const clientPublic = clientDh?.edwards ?? random.bytes(32);
  const serverPublic = serverDh?.edwards ?? random.bytes(32);
  const crypto = (
    own: number,
    peer: number,
    publicKey: Uint8Array,
    dh?: readonly [DhPair, DhPair],
  ): SessionCrypto => ({
    sign: (message) => fakeSignature(own, message),
    publicKey: () => publicKey,
    verify: (message, signature) => {
      const expected = fakeSignature(peer, message);
      return expected.every((byte, index) => byte === signature[index]);
    },
    random: random.bytes,
    ...(dh && { secure: fakeSecure(random, dh[0], dh[1].publicKey) }),
  });
  const [ofClient, ofServer] = clientDh && serverDh ? [clientDh.pair, serverDh.pair] : [];
  const pairs = (own?: DhPair, peer?: DhPair) => own && peer && ([own, peer] as const);
  const client = crypto(clientKey, serverKey, clientPublic, pairs(ofClient, ofServer));
  const server = crypto(serverKey, clientKey, serverPublic, pairs(ofServer, ofClient));
  return {
    client,
    server,
    clientPublic: decodePublicKey(clientPublic),
    serverPublic: decodePublicKey(serverPublic),
  };
}

function fakeSignature(key: number, message: Uint8Array): Uint8Array {
  let hash = key;
  for (const byte of message) hash = Math.imul(hash ^ byte, 0x01000193) ^ (hash >>> 15);
  const signature = new Uint8Array(64);
  for (let i = 0; i < signature.length; i++) {
    hash = Math.imul(hash ^ (hash >>> 13), 0x5bd1e995) + i;
    signature[i] = hash >>> 24;
  }
  return signature;
}

/** Two real pairs. */
export function realKeys(secret: Uint8Array): Keys {
  const client = generateKeyPair();
  const server = generateKeyPair();
  const maxTimeDiscrepancy = seconds(300);
  const common = { kind: 'ed25519', secret, maxTimeDiscrepancy } as const;
  const clientPublic = decodePublicKey(client.publicKey);
  const serverPublic = decodePublicKey(server.publicKey);
  return {
    clientPublic,
    serverPublic,
    client: openSessionCrypto({
      ...common,
      privateSeed: client.privateSeed,
      peerPublicKey: serverPublic,
    }),
    server: openSessionCrypto({
      ...common,
      privateSeed: server.privateSeed,
      peerPublicKey: clientPublic,
    }),
  };
}

import { authLengths } from '../core/auth/schemes.ts';
import type { PeerConfig, Proof } from '../core/config/tunnel-config.ts';
import { seconds } from '../core/units.ts';

/** Stands for every key: the lengths of signed packets do not depend on it. */
const ANY_KEY: Proof = {
  kind: 'ed25519',
  privateSeed: undefined,
  peerPublicKey: undefined,
  secret: new Uint8Array(),
  maxTimeDiscrepancy: seconds(0),
};

/**
 * Lengths of UDP payloads that a plane hands up for these peers, and those of signed packets in any
 * case, so that peers with keys come and go without a word about lengths.
 */
export function watchedLengths(peers: readonly PeerConfig[]): readonly number[] {
  return authLengths([ANY_KEY, ...peers.map(({ proof }) => proof)]);
}

import { authLengths } from '../core/auth/schemes.ts';
import { AUTH_V1_REGISTRATION_LENGTH } from '../core/auth/trailer.ts';
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
  const lengths = authLengths([ANY_KEY, ...peers.map(({ proof }) => proof)]);
  const invites = peers.some(({ invitedUntil }) => invitedUntil !== undefined);
  return invites ? [...lengths, AUTH_V1_REGISTRATION_LENGTH] : lengths;
}

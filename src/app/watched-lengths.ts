import { authLengths } from '../core/auth/schemes.ts';
import type { PeerConfig, Proof } from '../core/config/tunnel-config.ts';
import { seconds } from '../core/units.ts';
import { IpipouError } from '../core/errors.ts';

/** Stands for every key: the lengths of signed packets do not depend on it. */
const ANY_KEY: Proof = {
  kind: 'ed25519',
  privateSeed: undefined,
  peerPublicKey: undefined,
  secret: new Uint8Array(),
  maxTimeDiscrepancy: seconds(0),
};

/**
 * Lengths of UDP payloads that a plane hands up for as long as it is open: those of the peers at the
 * start, and those of signed packets, so that peers with keys can always be added.
 */
export function watchedLengths(peers: readonly PeerConfig[]): readonly number[] {
  return authLengths([ANY_KEY, ...peers.map(({ auth }) => auth.proof)]);
}

/** Throws for a peer whose packets an open plane would not hand up. */
export function refuseUnwatched(watched: readonly number[], peers: readonly PeerConfig[]): void {
  for (const { id, auth } of peers) {
    const strange = authLengths([auth.proof]).find((length) => !watched.includes(length));
    if (strange === undefined) continue;
    throw new IpipouError(
      'arguments',
      `peer ${id}: its authentication packets have ${strange} bytes, which this run does not look at`,
      { hint: 'restart the tunnel with this peer in its config, or give the peer a key' },
    );
  }
}

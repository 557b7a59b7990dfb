import { parseOuterIp, type OuterIp } from './addr.ts';
import { encodePublicKey } from './public-key.ts';
import { hintOfKey } from './auth/trailer.ts';
import type { PeerConfig } from './config/tunnel-config.ts';

/**
 * What a plane needs to know of a peer before it is admitted anywhere: whose inner addresses are whose,
 * and how its authentication packets can be told from strangers' before they are tested.
 */
export type PlanePeer = Pick<PeerConfig, 'id' | 'innerIps' | 'allowedIps'> & {
  /** The hint of its public key (core/auth/v1.ts); undefined where it has none. */
  readonly hint: Uint8Array | undefined;
  /** The outer address that its config gives, where that is an address. */
  readonly remote?: OuterIp | undefined;
};

export function planePeer(peer: PeerConfig): PlanePeer {
  const { id, innerIps, allowedIps, proof, remoteHost } = peer;
  const remote = remoteHost === undefined ? undefined : parseOuterIp(remoteHost);
  const key = proof.kind === 'ed25519' ? proof.peerPublicKey : undefined;
  // A copy: a view would keep the whole key.
  const hint = key && hintOfKey(encodePublicKey(key)).slice();
  return { id, innerIps, allowedIps, hint, remote };
}

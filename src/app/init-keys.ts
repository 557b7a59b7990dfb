import type { Proof, TunnelConfig } from '../core/config/tunnel-config.ts';
import { constantTimeEqual } from '../core/auth/bytes.ts';
import type { InitKeys } from '../core/handshake/keys.ts';
import type { SessionCrypto } from '../core/session/types.ts';

/**
 * The keys by which a server's plane tests first messages of session 2, and answers them; undefined where no peer can
 * speak it, or this side has several keys of its own: then they go up untested. `secret`: that of cookies.
 */
export function initKeysOf(
  role: TunnelConfig['role'],
  proofs: Iterable<Proof>,
  crypto: (proof: Proof) => SessionCrypto,
  secret: Uint8Array,
): InitKeys | undefined {
  if (role === 'client') return undefined;
  let first: { readonly proof: Proof; readonly seed: Uint8Array } | undefined;
  for (const proof of proofs) {
    if (proof.kind !== 'ed25519' || !proof.peerPublicKey || !proof.privateSeed) continue;
    const seed = proof.privateSeed;
    first ??= { proof, seed };
    if (seed !== first.seed && !constantTimeEqual(seed, first.seed)) return undefined;
  }
  const keys = first && crypto(first.proof).secure?.serverKeys();
  return keys && { mac1: keys.mac1, cookie: keys.cookie, secret };
}

import { formatPrefix } from '../addr.ts';
import type { PeerConfig, TunnelConfig } from './tunnel-config.ts';

/** What no two peers of a tunnel may share. */
export type Claim = {
  readonly kind: 'address' | 'prefix' | 'key' | 'token' | 'remote';
  /** Equal for what must not be equal. */
  readonly key: string;
};

/**
 * What a peer claims for itself: its inner address and its prefixes, because packets are told
 * apart by them; what it proves itself with, because packets of strangers are; and for a client
 * the server's address, because replies are.
 */
export function claimsOf(peer: PeerConfig, role: TunnelConfig['role']): readonly Claim[] {
  const { auth, innerIp, allowedIps } = peer;
  const claims: Claim[] = [{ kind: 'address', key: `${innerIp}/32` }];
  for (const prefix of allowedIps === 'any' ? [] : allowedIps) {
    if (prefix.length === 32 && prefix.ip === innerIp) continue;
    claims.push({ kind: 'prefix', key: formatPrefix(prefix) });
  }
  const { proof } = auth;
  if (proof.kind === 'ed25519' && proof.peerPublicKey) {
    claims.push({ kind: 'key', key: `key ${String.fromCharCode(...proof.peerPublicKey)}` });
  }
  if (proof.kind === 'token') {
    claims.push({ kind: 'token', key: `token ${String.fromCharCode(...proof.token)}` });
  }
  const { remoteHost, remotePort } = peer;
  const byRemote = auth.byRemoteIp && proof.kind === 'none';
  if (remoteHost !== undefined && (role === 'client' || byRemote)) {
    const port = role === 'client' || auth.byRemotePort ? remotePort : undefined;
    claims.push({ kind: 'remote', key: `remote ${remoteHost}:${port ?? ''}` });
  }
  return claims;
}

const OTHER: Readonly<Record<Claim['kind'], string>> = {
  address: 'another address',
  prefix: 'other prefixes',
  key: 'another public key',
  token: 'another token',
  remote: 'another remote',
};

/** What a message expects instead of a claim that another peer has; `where` is that peer's place. */
export function otherThan({ kind, key }: Claim, where: string): string {
  return `${OTHER[kind]} than ${where}${kind === 'prefix' ? `, which has ${key}` : ''}`;
}

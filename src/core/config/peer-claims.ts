import { formatPrefix, hostPrefix, isHostOf, type InnerIp, type Prefix } from '../addr.ts';
import { PrefixMap } from '../prefix-map.ts';
import type { SlotName } from './slots.ts';
import type { PeerConfig, TunnelConfig } from './tunnel-config.ts';

/** What no two peers of a tunnel may share. */
export type Claim =
  | {
      readonly what: 'network';
      readonly prefix: Prefix;
      /** `innerPeerIps` for the inner addresses themselves. */
      readonly slot: 'innerPeerIps' | 'allowedIps';
    }
  | {
      readonly what: 'key' | 'token' | 'remote';
      /** Equal for what must not be equal. Not to be shown: it may be a secret. */
      readonly key: string;
      /** What said it. */
      readonly slot: SlotName;
    };

/**
 * What a peer claims for itself: its inner addresses and its prefixes, because packets are told
 * apart by them; what it proves itself with, because packets of strangers are; and for a client
 * the server's address, because replies are.
 */
export function claimsOf(peer: PeerConfig, role: TunnelConfig['role']): readonly Claim[] {
  const { proof } = peer;
  const claims = networksOf(peer);
  if (proof.kind === 'ed25519' && proof.peerPublicKey) {
    claims.push({ what: 'key', key: proof.peerPublicKey, slot: 'peerPublicKey' });
  }
  if (proof.kind === 'token') {
    claims.push({ what: 'token', key: String.fromCharCode(...proof.token), slot: 'token' });
  }
  const remote = remoteOf(peer, role);
  if (remote !== undefined) claims.push({ what: 'remote', key: remote, slot: 'remoteHost' });
  return claims;
}

function networksOf({ innerIps, allowedIps }: PeerConfig): Claim[] {
  const claims = innerIps.map((ip): Claim => ({
    what: 'network',
    prefix: hostPrefix(ip),
    slot: 'innerPeerIps',
  }));
  for (const prefix of allowedIps === 'any' ? [] : allowedIps) {
    if (isHostOf(prefix, innerIps)) continue;
    claims.push({ what: 'network', prefix, slot: 'allowedIps' });
  }
  return claims;
}

/** A server that learns where its clients are has no remote that another peer must not have. */
function remoteOf(peer: PeerConfig, role: TunnelConfig['role']): string | undefined {
  const { proof, auth, remoteHost, remotePort } = peer;
  if (remoteHost === undefined) return undefined;
  if (role === 'client') return `${remoteHost}:${remotePort}`;
  if (!auth.byRemoteIp || proof.kind !== 'none') return undefined;
  return auth.byRemotePort ? `${remoteHost}:${remotePort}` : remoteHost;
}

/** Who claims what; at most one entry for each claim of each peer. */
export class ClaimTable<Holder> {
  readonly #networks = new PrefixMap<Holder>();
  readonly #others = {
    key: new Map<string, Holder>(),
    token: new Map<string, Holder>(),
    remote: new Map<string, Holder>(),
  };

  /** Who has claimed the same already, and keeps it; undefined when it is the new holder's now. */
  add(claim: Claim, holder: Holder): Holder | undefined {
    const other = this.#holderOf(claim);
    if (other !== undefined) return other;
    if (claim.what === 'network') this.#networks.set(claim.prefix, holder);
    else this.#others[claim.what].set(claim.key, holder);
    return undefined;
  }

  has(claim: Claim): boolean {
    return this.#holderOf(claim) !== undefined;
  }

  hasAddress(ip: InnerIp): boolean {
    return this.#networks.has(hostPrefix(ip));
  }

  #holderOf(claim: Claim): Holder | undefined {
    return claim.what === 'network'
      ? this.#networks.get(claim.prefix)
      : this.#others[claim.what].get(claim.key);
  }
}

const OTHER: Readonly<Record<Claim['what'], string>> = {
  network: 'another address',
  key: 'another public key',
  token: 'another token',
  remote: 'another remote',
};

/** What a message expects instead of a claim that another peer has; `where` is that peer's place. */
export function otherThan(claim: Claim, where: string): string {
  return claim.what === 'network' && claim.slot === 'allowedIps'
    ? `other prefixes than ${where}, which has ${formatPrefix(claim.prefix)}`
    : `${OTHER[claim.what]} than ${where}`;
}

/** Whether keys are the right ones: of this file, and of the other end's where that is here as well. */
import { constantTimeEqual } from '../auth/bytes.ts';
import { DEFAULT_PEER, type PeerConfig, type TunnelConfig } from '../config/tunnel-config.ts';
import type { KeyFacts, OtherEnd, TunnelFacts } from './facts.ts';
import { ok, unknown, wrong, type Finding } from './finding.ts';

export function checkKeys({ config, keys }: TunnelFacts): readonly Finding[] {
  const signed = config.peers.filter(({ proof }) => proof.kind === 'ed25519');
  if (signed.length === 0) return [];
  const mistakes = signed.flatMap((peer) => ownKeyTaken(config, peer, keys));
  const matches = signed.flatMap((peer) => compareEnds(config, peer, keys));
  const found = [...mistakes, ...matches];
  if (found.length > 0) return found;
  const [own] = new Set(keys.own.values());
  return [
    unknown(
      'keys',
      own === undefined
        ? 'whether the keys here are those of the clients is not known: no file of another end is here'
        : `the public key of this end is ${own}; whether the other end has it is not known from here`,
    ),
  ];
}

const named = ({ id }: Pick<PeerConfig, 'id'>): string =>
  id === DEFAULT_PEER ? '' : `peer ${id}: `;

/** The public key that was copied is that of this end. */
function ownKeyTaken({ role }: TunnelConfig, peer: PeerConfig, keys: KeyFacts): readonly Finding[] {
  const { proof } = peer;
  const own = keys.own.get(peer.id);
  if (proof.kind !== 'ed25519' || own === undefined || proof.peerPublicKey !== own) return [];
  const other = role === 'server' ? 'client' : 'server';
  return [
    wrong(
      'keys',
      `${named(peer)}auth-remote-pubkey-b64 is the public key of this end's own auth-key-b64, not the ${other}'s`,
      `ipipou pubkey < KEY   # on the ${other}, with its private key; its line is auth-remote-pubkey-b64 here`,
    ),
  ];
}

function compareEnds(config: TunnelConfig, peer: PeerConfig, keys: KeyFacts): readonly Finding[] {
  return keys.ends.flatMap((end) => {
    const other = counterpart(config, peer, end);
    return other === undefined ? [] : compare(peer, keys, end, other);
  });
}

type EndPeer = OtherEnd['peers'][number];

/** The peer of another config that is this end: by the addresses inside, each of which one end has. */
function counterpart(
  { role, inner }: TunnelConfig,
  { innerIps }: PeerConfig,
  end: OtherEnd,
): EndPeer | undefined {
  if (end.role === role) return undefined;
  const meets = (one: readonly string[], other: readonly string[]) =>
    one.some((ip) => other.includes(ip));
  if (!meets(end.innerIps, innerIps)) return undefined;
  return end.peers.find((other) => meets(other.innerIps, inner.ips));
}

function compare(
  peer: PeerConfig,
  keys: KeyFacts,
  end: OtherEnd,
  other: EndPeer,
): readonly Finding[] {
  const { proof } = peer;
  if (proof.kind !== 'ed25519') return [];
  const own = keys.own.get(peer.id);
  const found: Finding[] = [];
  if (proof.peerPublicKey !== undefined && other.own !== undefined) {
    if (proof.peerPublicKey !== other.own) {
      found.push(
        wrong(
          'keys',
          `${named(peer)}auth-remote-pubkey-b64 is not the public key of auth-key-b64 in ${end.path}`,
          `auth-remote-pubkey-b64 ${other.own}   # in this config`,
        ),
      );
    }
  }
  if (own !== undefined && other.other !== undefined && own !== other.other) {
    found.push(
      wrong(
        'keys',
        `${named(peer)}auth-remote-pubkey-b64 in ${end.path} is not the public key of auth-key-b64 here`,
        `auth-remote-pubkey-b64 ${own}   # in ${end.path}`,
      ),
    );
  }
  if (other.secret !== undefined && !constantTimeEqual(proof.secret, other.secret)) {
    found.push(
      wrong(
        'keys',
        `${named(peer)}auth-secret is not that of ${end.path}`,
        `grep auth-secret ${end.path}   # both ends need the same`,
      ),
    );
  }
  const clear = found.length === 0;
  return clear ? [ok('keys', `${named(peer)}keys and secret match those of ${end.path}`)] : found;
}

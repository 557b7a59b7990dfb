/** Peers that are added without a word about their addresses, and keys that take an invitation's place. */
import { ConfigError } from '../errors.ts';
import type { PublicKey } from '../public-key.ts';
import { editPeer, type PeerOption, type PeersEdit } from './edit-peers.ts';
import { freeAddresses } from './free-addresses.ts';
import type { PeerBase } from './peer-view.ts';
import { COMMAND_LINE } from './setting.ts';
import type { PeerConfig, PeerId } from './tunnel-config.ts';

/** A change of one peer, with what of it is to be written down. */
export type WrittenEdit = PeersEdit & {
  readonly peer: PeerId;
  readonly options: readonly PeerOption[];
};

/**
 * Adds a peer, with the next free addresses where none are given. One that is there already is refused, but
 * for an invitation that nobody has taken yet: it is made anew, with the addresses that it has. Throws a
 * ConfigError.
 */
export function addPeer(
  peers: readonly PeerConfig[],
  base: PeerBase,
  name: string,
  options: readonly PeerOption[],
): WrittenEdit {
  const before = peers.find(({ id }) => id === name);
  if (before !== undefined && before.invitedUntil === undefined) {
    const expected = 'the name of a peer that is not there yet';
    throw new ConfigError([
      { source: COMMAND_LINE, line: undefined, key: 'peer', value: name, expected },
    ]);
  }
  const given = options.some(([option]) => option === 'tunl-peer-ip');
  const ips = before?.innerIps ?? freeAddresses(peers, base);
  const all: readonly PeerOption[] = given
    ? options
    : [...options.slice(0, 1), ['tunl-peer-ip', ips.join(', ')], ...options.slice(1)];
  return { ...editPeer(peers, base, name, all), peer: name as PeerId, options: all };
}

/**
 * Puts a client's own key in the place of an invitation's. Undefined where the peer is no invitation with that
 * key (any more).
 */
export function registerKey(
  peers: readonly PeerConfig[],
  base: PeerBase,
  { peer, invitation, publicKey }: Registration,
): WrittenEdit | undefined {
  const found = peers.find(({ id }) => id === peer);
  if (found?.invitedUntil === undefined || keyOf(found) !== invitation) return undefined;
  const options: readonly PeerOption[] = [
    ['auth-remote-pubkey-b64', publicKey],
    ['invited-until', ''],
  ];
  return { ...editPeer(peers, base, peer, options), peer, options };
}

export type Registration = {
  readonly peer: PeerId;
  /** The key that the request was signed with. */
  readonly invitation: PublicKey;
  readonly publicKey: PublicKey;
};

/** Throws a ConfigError for a name that is not that of an invitation. */
export function refuseMember(peers: readonly PeerConfig[], name: string): void {
  const peer = peers.find(({ id }) => id === name);
  if (peer?.invitedUntil !== undefined) return;
  const expected = 'the name of an invitation that nobody has taken yet';
  throw new ConfigError([
    { source: COMMAND_LINE, line: undefined, key: 'peer', value: name, expected },
  ]);
}

/** The public key that a peer is known by. */
export function keyOf({ proof }: PeerConfig): PublicKey | undefined {
  return proof.kind === 'ed25519' ? proof.peerPublicKey : undefined;
}

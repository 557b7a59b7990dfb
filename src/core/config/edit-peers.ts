import { ipv4Add, type InnerIp } from '../addr.ts';
import { ConfigError, type ConfigProblem } from '../errors.ts';
import { buildPeer, settlePeers, sharedSecret } from './build-peer.ts';
import { readSettings } from './merge.ts';
import { ClaimTable, claimsOf, otherThan } from './peer-claims.ts';
import { checkPeer, checkRoles, missing } from './peer-rules.ts';
import { innerIpOf, type PeerBase, type PeerView } from './peer-view.ts';
import { COMMAND_LINE, findOption, problemAt, unknownOption, type Setting } from './setting.ts';
import type { Filled } from './slots.ts';
import { isUnicast } from './syntax.ts';
import { peerName } from './syntax-peers.ts';
import { DEFAULT_PEER, type PeerConfig, type PeerId } from './tunnel-config.ts';
import { PeerWarnings } from './warnings.ts';

/** An option of a peer and its value, '' for one that takes none. */
export type PeerOption = readonly [name: string, value: string];

/** What a change of one peer makes of a tunnel's peers. */
export type PeersEdit = {
  /** All of them, afterwards. */
  readonly peers: readonly PeerConfig[];
  /** Those that are new or other than before: the one named, and the default one if it follows. */
  readonly set: readonly PeerConfig[];
  readonly warnings: readonly string[];
};

const place = { source: COMMAND_LINE, line: undefined };

/**
 * Adds a peer or changes one that is there, which keeps what is not named. Throws a ConfigError
 * with every problem found.
 */
export function editPeer(
  peers: readonly PeerConfig[],
  base: PeerBase,
  name: string,
  options: readonly PeerOption[],
): PeersEdit {
  const id = readName(name);
  const { settings, problems } = readOptions(options);
  const layer = readSettings(settings);
  const before = peers.find((peer) => peer.id === id);
  const own = before ? { ...keptOf(before, base, layer.slots), ...layer.slots } : layer.slots;
  const view: PeerView = {
    ...{ id, base, own, settings, place },
    origins: layer.origins,
    problems: [...problems, ...layer.problems],
    unimplemented: layer.unimplemented,
    innerIp: innerIpOf(own, base),
  };
  const found = [...view.problems, ...checkRoles(settings, base.role), ...checkPeer(view)];
  if (view.innerIp === undefined) found.push(...suggestAddress(view, peers));
  refuse(found, view);
  const peer = buildPeer(view, view.innerIp ?? DEFAULT_INNER_IP);
  refuse(checkOthers(peer, view, peers), view);
  const warnings = new PeerWarnings();
  warnings.look(view, peer);
  const next = before ? peers.map((other) => (other === before ? peer : other)) : [...peers, peer];
  return { ...settleEdit(peers, next, base), warnings: warnings.aboutSections };
}

/** Takes a peer away. Throws a ConfigError when there is none of that name. */
export function dropPeer(
  peers: readonly PeerConfig[],
  base: PeerBase,
  name: string,
): PeersEdit & { readonly removed: PeerId } {
  const id = readName(name);
  const next = peers.filter((peer) => peer.id !== id);
  if (next.length === peers.length) {
    throw new ConfigError([
      { ...place, key: 'peer', value: name, expected: 'the name of a peer of this tunnel' },
    ]);
  }
  return { ...settleEdit(peers, next, base), removed: id, warnings: [] };
}

function settleEdit(
  before: readonly PeerConfig[],
  changed: readonly PeerConfig[],
  base: PeerBase,
): Pick<PeersEdit, 'peers' | 'set'> {
  const peers = settlePeers(changed, base);
  const known = new Set(before);
  return { peers, set: peers.filter((peer) => !known.has(peer)) };
}

function readName(name: string): PeerId {
  const reading = peerName.read(name);
  if (reading.ok) return reading.value;
  const value = name === '' ? undefined : name;
  throw new ConfigError([{ ...place, key: 'peer', value, expected: reading.expected }]);
}

/** Options as they are told at run time, each as a setting. */
function readOptions(options: readonly PeerOption[]): {
  readonly settings: readonly Setting[];
  readonly problems: readonly ConfigProblem[];
} {
  const settings: Setting[] = [];
  const problems: ConfigProblem[] = [];
  for (const [name, text] of options) {
    const option = findOption(name);
    if (option === undefined) {
      problems.push(unknownOption(name, text === '' ? undefined : text, place));
      continue;
    }
    const setting = { option, text, ...place };
    if (option.peer === undefined) problems.push(problemAt(setting, 'an option of a peer'));
    else settings.push(setting);
  }
  return { settings, problems };
}

function refuse(problems: readonly ConfigProblem[], { unimplemented }: PeerView): void {
  if (problems.length === 0) return;
  const unsupported = problems.every((problem) => unimplemented.includes(problem));
  throw new ConfigError(problems, unsupported ? 'notImplemented' : 'arguments');
}

/** Never used: a peer without an address is refused before it is built. */
const DEFAULT_INNER_IP = '0.0.0.0' as InnerIp;

/**
 * What a peer says by itself, as if its section had said it, less what a change of proof or of
 * address puts an end to.
 */
function keptOf(peer: PeerConfig, base: PeerBase, change: Filled): Filled {
  const { proof, auth, timers, remoteHost, remotePort, innerIp, allowedIps } = peer;
  const { inherited } = base;
  const token = proof.kind === 'token' && !change.peerPublicKey && !change.privateSeed;
  const keys = proof.kind === 'ed25519' && !change.token ? proof : undefined;
  const others = allowedIps === 'any' ? [] : allowedIps.slice(1);
  return {
    token: token ? proof.token : undefined,
    privateSeed: unless(keys?.privateSeed, inherited.privateSeed),
    peerPublicKey: keys?.peerPublicKey,
    secret: unless(keys?.secret, sharedSecret(base)),
    maxTimeDiscrepancy: unless(keys?.maxTimeDiscrepancy, inherited.maxTimeDiscrepancy),
    byRemoteIp: auth.byRemoteIp ? true : undefined,
    byRemotePort: auth.byRemotePort ? true : undefined,
    packetTtl: unless(auth.packetTtl, inherited.packetTtl),
    replyOnAuthOk: auth.replyOnAuthOk ? true : undefined,
    ...(timers === base.timers ? {} : timers),
    remoteHost,
    remotePort,
    innerPeerIp: innerIp,
    allowedIps: others.length > 0 ? others : undefined,
  };
}

/** A value that is not what is inherited anyway. */
function unless<T>(value: T, inherited: T): T | undefined {
  return value === inherited ? undefined : value;
}

function suggestAddress(view: PeerView, peers: readonly PeerConfig[]): readonly ConfigProblem[] {
  const { tunnelIp } = view.base;
  if (tunnelIp === undefined) return [];
  const taken = new ClaimTable<true>();
  for (const peer of peers) {
    for (const claim of claimsOf(peer, view.base.role)) taken.add(claim, true);
  }
  let free = ipv4Add(tunnelIp, 1);
  while (taken.hasAddress(free) || !isUnicast(free)) free = ipv4Add(free, 1);
  const expected = `an address inside the tunnel for it: ${free} is free`;
  return missing(view, ['tunl-peer-ip'], expected);
}

/** What another peer of the tunnel has already. */
function checkOthers(
  peer: PeerConfig,
  view: PeerView,
  peers: readonly PeerConfig[],
): readonly ConfigProblem[] {
  const { role } = view.base;
  const mine = new ClaimTable<true>();
  for (const claim of claimsOf(peer, role)) mine.add(claim, true);
  const found: ConfigProblem[] = [];
  for (const other of peers) {
    if (other.id === peer.id) continue;
    for (const claim of claimsOf(other, role)) {
      if (!mine.has(claim)) continue;
      const who = other.id === DEFAULT_PEER ? 'the default peer' : `peer \`${other.id}\``;
      const origin =
        view.origins.get(claim.slot) ??
        view.origins.get(claim.slot === 'allowedIps' ? 'innerPeerIp' : 'allowedIps');
      const expected = otherThan(claim, who);
      found.push(
        origin
          ? problemAt(origin, expected)
          : { ...place, key: 'tunl-peer-ip', value: undefined, expected },
      );
    }
  }
  return found;
}

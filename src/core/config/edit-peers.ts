import { ConfigError, type ConfigProblem } from '../errors.ts';
import { buildPeer, settlePeers, sharedSecret } from './build-peer.ts';
import { ExposureTable, otherPortsThan } from './exposure.ts';
import { freeAddresses } from './free-addresses.ts';
import { MAX_TIME_DISCREPANCY } from './limits.ts';
import { readSettings } from './merge.ts';
import { OPTIONS } from './options.ts';
import { OwnKeys, tooManyKeys } from './own-keys.ts';
import { ClaimTable, claimsOf, otherThan } from './peer-claims.ts';
import { checkPeer, checkRoles, missing } from './peer-rules.ts';
import { innerIpsOf, type PeerBase, type PeerView } from './peer-view.ts';
import {
  COMMAND_LINE,
  findOption,
  problemAt,
  sayAt,
  unknownOption,
  type Setting,
} from './setting.ts';
import { sameValue } from '../same-value.ts';
import type { Filled, SlotName } from './slots.ts';
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
    innerIps: innerIpsOf(own, base),
  };
  const found = [...view.problems, ...checkRoles(settings, base.role), ...checkPeer(view)];
  if (view.innerIps.length === 0) found.push(...suggestAddress(view, peers));
  refuse(found);
  const peer = buildPeer(view, view.innerIps);
  refuse([
    ...checkOthers(peer, view, peers),
    ...checkExposures(peer, view, peers),
    ...checkOwnKeys(peer, view, peers),
  ]);
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
    throw noSuchPeer(name, peers);
  }
  return { ...settleEdit(peers, next, base), removed: id, warnings: [] };
}

/** More peers than these are not listed. */
const LISTED_MAX = 8;

export function noSuchPeer(name: string, peers: readonly PeerConfig[]): ConfigError {
  const expected = 'the name of a peer of this tunnel';
  const all = peers.map(({ id }) => id).join(', ');
  const listed = peers.length > 0 && peers.length <= LISTED_MAX ? `${expected}: ${all}` : expected;
  return new ConfigError([{ ...place, key: 'peer', value: name, expected: listed }]);
}

function settleEdit(
  before: readonly PeerConfig[],
  changed: readonly PeerConfig[],
  base: PeerBase,
): Pick<PeersEdit, 'peers' | 'set'> {
  const peers = settlePeers(changed, base);
  const known = new Map(before.map((peer) => [peer.id, peer]));
  return { peers, set: peers.filter((peer) => !sameValue(known.get(peer.id), peer)) };
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
    if (option.peer === undefined)
      problems.push(sayAt(setting, `${option.name} cannot be set per peer`));
    // A file could not say it.
    else if (/[\r\n]/.test(text)) problems.push(problemAt(setting, 'one line'));
    else settings.push(setting);
  }
  return { settings, problems };
}

function refuse(problems: readonly ConfigProblem[]): void {
  if (problems.length > 0) throw new ConfigError(problems);
}

/**
 * What a peer says by itself, as if its section had said it, less what a change of proof or of
 * address puts an end to.
 */
function keptOf(peer: PeerConfig, base: PeerBase, change: Filled): Filled {
  const inheriting = inheritingPeer(peer, base);
  const kept: { [Name in SlotName]?: unknown } = {};
  for (const { slots, peer: standing, kept: read } of OPTIONS) {
    const [slot] = slots;
    const value = read?.(peer);
    if (slot === undefined || value === undefined) continue;
    if (standing === 'inherited' && sameValue(value, read?.(inheriting))) continue;
    if (!PROOF_ENDS[slot]?.some((other) => change[other] !== undefined)) kept[slot] = value;
  }
  // Each value is what the option of its slot says.
  return kept as Filled;
}

/** What of a proof ends when the slots named here are filled. */
const PROOF_ENDS: { readonly [Name in SlotName]?: readonly SlotName[] } = {
  token: ['peerPublicKey', 'privateSeed'],
  privateSeed: ['token'],
  peerPublicKey: ['token'],
  secret: ['token'],
  maxTimeDiscrepancy: ['token'],
};

/** The slots that are emptied when these are filled. */
export function endedBy(filled: readonly SlotName[]): readonly SlotName[] {
  return (Object.keys(PROOF_ENDS) as SlotName[]).filter((slot) =>
    PROOF_ENDS[slot]?.some((other) => filled.includes(other)),
  );
}

/** The same peer if it said nothing that it can inherit. */
function inheritingPeer(peer: PeerConfig, base: PeerBase): PeerConfig {
  const proof = {
    kind: 'ed25519',
    privateSeed: base.inherited.privateSeed,
    peerPublicKey: undefined,
    secret: sharedSecret(base),
    maxTimeDiscrepancy: base.inherited.maxTimeDiscrepancy ?? MAX_TIME_DISCREPANCY,
  } as const;
  return { ...peer, proof, auth: base.auth, timers: base.timers };
}

function suggestAddress(view: PeerView, peers: readonly PeerConfig[]): readonly ConfigProblem[] {
  const [free] = freeAddresses(peers, view.base);
  if (free === undefined) return [];
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
        view.origins.get(claim.slot === 'allowedIps' ? 'innerPeerIps' : 'allowedIps');
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

/** Whether its own key is one too many. */
function checkOwnKeys(
  peer: PeerConfig,
  view: PeerView,
  peers: readonly PeerConfig[],
): readonly ConfigProblem[] {
  if (view.base.role !== 'server') return [];
  const keys = new OwnKeys();
  for (const other of peers) if (other.id !== peer.id) keys.add(other);
  return keys.add(peer) ? [] : [tooManyKeys(view)];
}

/** What of a peer's services another one has already. */
function checkExposures(
  peer: PeerConfig,
  view: PeerView,
  peers: readonly PeerConfig[],
): readonly ConfigProblem[] {
  if (peer.exposed === undefined) return [];
  const table = new ExposureTable<PeerConfig>();
  for (const other of peers) {
    if (other.id !== peer.id && other.exposed) table.add(other.exposed.services, other);
  }
  const found = table.add(peer.exposed.services, peer);
  if (found === undefined) return [];
  const { id } = found.holder;
  const who = id === DEFAULT_PEER ? 'the default peer' : `peer \`${id}\``;
  const expected = otherPortsThan(found.service, who);
  const origin = view.origins.get('expose');
  return [
    origin ? problemAt(origin, expected) : { ...place, key: 'expose', value: undefined, expected },
  ];
}

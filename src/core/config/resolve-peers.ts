import { ipv4Add, type Ipv4 } from '../addr.ts';
import type { ConfigProblem } from '../errors.ts';
import { besideOthers, buildPeer } from './build-peer.ts';
import { readSection } from './merge.ts';
import { claimsOf, otherThan, type Claim } from './peer-claims.ts';
import { checkPeer, checkRoles, missing } from './peer-rules.ts';
import { viewDefault, viewSection, type PeerView } from './peer-view.ts';
import type { Situation } from './rules.ts';
import { problemAt, type Setting } from './setting.ts';
import type { SlotName } from './slots.ts';
import { isUnicast } from './syntax.ts';
import type { PeerConfig } from './tunnel-config.ts';
import { PeerWarnings } from './warnings.ts';

export type ResolvedPeers = {
  /** Sound if there are no problems. */
  readonly peers: readonly PeerConfig[];
  readonly problems: readonly ConfigProblem[];
  readonly unimplemented: ReadonlySet<ConfigProblem>;
  readonly warnings: PeerWarnings;
};

/** Every peer of a tunnel, in the order of the file, the default one first. */
export function resolvePeers(at: Situation): ResolvedPeers {
  const gathering = new Gathering(at);
  if (hasDefaultPeer(at)) gathering.add(viewDefault(at, at.base, at.place));
  else gathering.problems.push(...refuseStray(at));
  for (const section of at.sections) {
    const layer = readSection(section.settings);
    for (const problem of layer.problems) {
      gathering.problems.push(problem);
      if (layer.unimplemented.has(problem)) gathering.unimplemented.add(problem);
    }
    gathering.add(viewSection(section, layer, at.base));
  }
  gathering.suggestAddresses();
  const { peers, problems, unimplemented, warnings } = gathering;
  return { peers: besideOthers(peers), problems, unimplemented, warnings };
}

/** Whether the options before the first section describe a peer: by who it is, or where. */
function hasDefaultPeer({ sections, slots, base }: Situation): boolean {
  if (sections.length === 0) return true;
  if (slots.peerPublicKey ?? slots.token ?? slots.byRemoteIp ?? slots.byRemotePort) {
    return true;
  }
  return base.role === 'client' && (slots.remoteHost ?? slots.remotePort) !== undefined;
}

const DEFAULT_PEERS_OWN = ['remoteHost', 'remotePort', 'innerPeerIp', 'allowedIps'] as const;

/** What only a default peer could have, where there is none. */
function refuseStray({ origins }: Situation): readonly ConfigProblem[] {
  const strays = new Set(DEFAULT_PEERS_OWN.map((slot) => origins.get(slot)));
  return [...strays]
    .filter((origin) => origin !== undefined)
    .map((origin) =>
      problemAt(origin, 'it in a section: the options before the first `peer` describe no peer'),
    );
}

/** Where a claim was made. */
type Holder = { readonly source: string; readonly line: number | undefined };

class Gathering {
  readonly peers: PeerConfig[] = [];
  readonly problems: ConfigProblem[] = [];
  readonly unimplemented = new Set<ConfigProblem>();
  readonly warnings = new PeerWarnings();
  readonly #at: Situation;
  readonly #ids = new Map<string, Holder>();
  readonly #claims = new Map<string, Holder>();
  readonly #withoutAddress: PeerView[] = [];

  constructor(at: Situation) {
    this.#at = at;
  }

  add(view: PeerView): void {
    const { id, place, innerIp } = view;
    const twice = this.#ids.get(id);
    if (twice) {
      const expected = `another name than in ${nameOf(twice, place)}`;
      const { source, line } = place;
      this.problems.push({ source, line, key: 'peer', value: id, expected });
    } else this.#ids.set(id, place);
    if (!this.#at.roleIsSound) return;
    const found = [
      // Those before the sections were looked at already.
      ...(view.settings === this.#at.settings ? [] : checkRoles(view.settings, view.base.role)),
      ...checkPeer(view),
    ];
    for (const problem of found) this.problems.push(problem);
    if (innerIp === undefined) {
      this.#withoutAddress.push(view);
      return;
    }
    const peer = buildPeer(view, innerIp);
    this.peers.push(peer);
    this.warnings.look(view, peer);
    // What is wrong by itself would only be found wrong a second time.
    if (found.length > 0 || view.problems.length > 0) return;
    for (const claim of claimsOf(peer, view.base.role)) this.#claim(claim, view);
  }

  #claim(claim: Claim, view: PeerView): void {
    const origin = view.origins.get(SLOT_OF[claim.kind]);
    const holder = this.#claims.get(claim.key);
    if (holder === undefined) this.#claims.set(claim.key, origin ?? view.place);
    else this.problems.push(refuseClaim(claim, holder, origin, view));
  }

  /** Every server's section without an address is told one that is free, each another. */
  suggestAddresses(): void {
    const { tunnelIp } = this.#at.base;
    // A client's follows from `tunl-ip`, whose absence is a problem by itself.
    if (tunnelIp === undefined) return;
    let free = tunnelIp;
    for (const view of this.#withoutAddress) {
      free = this.#nextFree(free);
      const expected = `an address inside the tunnel for it: ${free} is free`;
      this.problems.push(...missing(view, ['tunl-peer-ip'], expected));
    }
  }

  #nextFree(after: Ipv4): Ipv4 {
    let address = ipv4Add(after, 1);
    while (this.#claims.has(`${address}/32`) || !isUnicast(address)) {
      address = ipv4Add(address, 1);
    }
    return address;
  }
}

const SLOT_OF: Readonly<Record<Claim['kind'], SlotName>> = {
  address: 'innerPeerIp',
  prefix: 'allowedIps',
  key: 'peerPublicKey',
  token: 'token',
  remote: 'remoteHost',
};

function refuseClaim(
  claim: Claim,
  holder: Holder,
  origin: Setting | undefined,
  { place }: PeerView,
): ConfigProblem {
  const expected = otherThan(claim, `in ${nameOf(holder, place)}`);
  if (origin) return problemAt(origin, expected);
  // Only an inner address is claimed without being said.
  const { source, line } = place;
  return { source, line, key: 'tunl-peer-ip', value: undefined, expected };
}

/** A place as somebody who looks at `from` calls it. */
function nameOf(place: Holder, from: Holder): string {
  if (place.line === undefined) return `what stands before the sections (${place.source})`;
  return place.source === from.source ? `line ${place.line}` : `${place.source}:${place.line}`;
}

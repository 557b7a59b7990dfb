import { addToIp, type InnerIp } from '../addr.ts';
import type { ConfigProblem } from '../errors.ts';
import { buildPeer, settlePeers } from './build-peer.ts';
import { ExposureTable, otherPortsThan } from './exposure.ts';
import { OwnKeys, tooManyKeys } from './own-keys.ts';
import { ClaimTable, claimsOf, otherThan, type Claim } from './peer-claims.ts';
import { checkPeer, checkRoles, missing } from './peer-rules.ts';
import { viewDefault, viewSection, type PeerView } from './peer-view.ts';
import type { Situation } from './rules.ts';
import { problemAt, sayAt, type Section } from './setting.ts';
import { isUnicast } from './syntax.ts';
import type { PeerConfig, PeerId } from './tunnel-config.ts';
import { PeerWarnings } from './warnings.ts';

export type ResolvedPeers = {
  /** Sound if there are no problems. */
  readonly peers: readonly PeerConfig[];
  readonly problems: readonly ConfigProblem[];
  readonly warnings: PeerWarnings;
};

/** Every peer of a tunnel, in the order of the file, the default one first. */
export function resolvePeers(at: Situation): ResolvedPeers {
  const gathering = new Gathering(at);
  if (hasDefaultPeer(at)) gathering.add(undefined, viewDefault(at, at.base, at.place));
  else gathering.problems.push(...refuseStray(at));
  for (const section of at.sections) gathering.add(section, viewSection(section, at.base));
  gathering.suggestAddresses();
  const { peers, problems, warnings } = gathering;
  return { peers: settlePeers(peers, at.base), problems, warnings };
}

/** Whether the options before the first section describe a peer: by who it is, or where. */
function hasDefaultPeer({ sections, slots, base }: Situation): boolean {
  if (slots.peerPublicKey ?? slots.token ?? slots.byRemoteIp ?? slots.byRemotePort) return true;
  // One that invites has nobody yet.
  const inviting = slots.inviteHost ?? slots.invitePort;
  if (sections.length === 0) return inviting === undefined || slots.auth !== undefined;
  return base.role === 'client' && (slots.remoteHost ?? slots.remotePort) !== undefined;
}

const DEFAULT_PEERS_OWN = [
  ...(['remoteHost', 'remotePort', 'innerPeerIps', 'allowedIps'] as const),
  ...(['expose', 'exposeFrom', 'invitedUntil'] as const),
];

/** What only a default peer could have, where there is none. */
function refuseStray({ origins }: Situation): readonly ConfigProblem[] {
  const strays = new Set(DEFAULT_PEERS_OWN.map((slot) => origins.get(slot)));
  return [...strays]
    .filter((origin) => origin !== undefined)
    .map((origin) =>
      sayAt(
        origin,
        `${origin.option.name} belongs into a section: what stands before the first line \`peer\` describes no peer`,
      ),
    );
}

type Place = PeerView['place'];
/** A section, or what stands before the first one: `Situation.place`. */
type Holder = Section | Place;

/**
 * Takes the peers one after the other, and keeps of each its config and which section claims what:
 * where exactly is read again from the section when it has to be told.
 */
class Gathering {
  readonly peers: PeerConfig[] = [];
  readonly problems: ConfigProblem[] = [];
  readonly warnings = new PeerWarnings();
  readonly #at: Situation;
  readonly #ids = new Map<PeerId, Holder>();
  readonly #claims = new ClaimTable<Holder>();
  readonly #ownKeys = new OwnKeys();
  readonly #exposures = new ExposureTable<Holder>();
  readonly #withoutAddress: Section[] = [];

  constructor(at: Situation) {
    this.#at = at;
  }

  /** `section` is undefined for the default peer, whose single options were looked at already. */
  add(section: Section | undefined, view: PeerView): void {
    const holder = section ?? this.#at.place;
    if (section) {
      this.#note(view.problems);
      this.#nameOnce(section);
    }
    if (!this.#at.roleIsSound) return;
    const { role } = this.#at.base;
    const before = this.problems.length;
    if (section) this.#note(checkRoles(view.settings, role));
    this.#note(checkPeer(view));
    if (view.innerIps.length === 0) {
      if (section) this.#withoutAddress.push(section);
      return;
    }
    const peer = buildPeer(view, view.innerIps);
    this.peers.push(peer);
    this.warnings.look(view, peer);
    // What is wrong by itself would only be found wrong a second time.
    if (this.problems.length > before || view.problems.length > 0) return;
    for (const claim of claimsOf(peer, role)) this.#claim(claim, holder, view);
    this.#expose(peer, holder, view);
    if (role === 'server' && !this.#ownKeys.add(peer)) this.problems.push(tooManyKeys(view));
  }

  #note(problems: readonly ConfigProblem[]): void {
    for (const problem of problems) this.problems.push(problem);
  }

  #nameOnce(section: Section): void {
    const { id, source, line } = section;
    const twice = this.#ids.get(id);
    if (twice === undefined) {
      this.#ids.set(id, section);
      return;
    }
    const expected = `another name than in ${this.#nameOf(twice, section)}`;
    this.problems.push({ source, line, key: 'peer', value: id, expected });
  }

  #claim(claim: Claim, holder: Holder, view: PeerView): void {
    const other = this.#claims.add(claim, holder);
    if (other === undefined) return;
    const origin = view.origins.get(claim.slot);
    const expected = otherThan(
      claim,
      `in ${this.#nameOf(this.#whereOf(other, claim), view.place)}`,
    );
    if (origin) {
      this.problems.push(problemAt(origin, expected));
      return;
    }
    // Only an inner address is claimed without being said.
    const { source, line } = view.place;
    this.problems.push({ source, line, key: 'tunl-peer-ip', value: undefined, expected });
  }

  #expose({ exposed }: PeerConfig, holder: Holder, view: PeerView): void {
    const other = exposed && this.#exposures.add(exposed.services, holder);
    const origin = view.origins.get('expose');
    if (other === undefined || origin === undefined) return;
    const { base, place } = this.#at;
    const theirs = 'body' in other.holder ? viewSection(other.holder, base) : undefined;
    const where = (theirs?.origins ?? this.#at.origins).get('expose') ?? place;
    const name = `in ${this.#nameOf(where, view.place)}`;
    this.problems.push(problemAt(origin, otherPortsThan(other.service, name)));
  }

  /** Where exactly another peer claims the same. */
  #whereOf(holder: Holder, claim: Claim): Place {
    const { base, place } = this.#at;
    const view = 'body' in holder ? viewSection(holder, base) : viewDefault(this.#at, base, place);
    // What is a prefix here may be the inner address there, and the other way round.
    const isInner = claim.what === 'network' && view.innerIps.includes(claim.prefix.ip);
    const slot = claim.what === 'network' && !isInner ? 'allowedIps' : claim.slot;
    return view.origins.get(isInner ? 'innerPeerIps' : slot) ?? holder;
  }

  /** A place as somebody who looks at `from` calls it. */
  #nameOf(place: Place, from: Place): string {
    if (place === this.#at.place) return `what stands before the sections (${place.source})`;
    if (place.line === undefined) return `the ${place.source}`;
    return place.source === from.source ? `line ${place.line}` : `${place.source}:${place.line}`;
  }

  /** Every server's section without an address is told one that is free, each another. */
  suggestAddresses(): void {
    const { base } = this.#at;
    // A client's follows from `tunl-ip`, whose absence is a problem by itself.
    let [free] = base.tunnelIps;
    if (free === undefined) return;
    for (const section of this.#withoutAddress) {
      free = this.#nextFree(free);
      const expected = `an address inside the tunnel for it: ${free} is free`;
      this.#note(missing(viewSection(section, base), ['tunl-peer-ip'], expected));
    }
  }

  #nextFree(after: InnerIp): InnerIp {
    let address = addToIp(after, 1);
    while (this.#claims.hasAddress(address) || !isUnicast(address)) address = addToIp(address, 1);
    return address;
  }
}

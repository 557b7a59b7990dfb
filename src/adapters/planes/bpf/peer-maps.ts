import { PROGRAM_RATES } from '../../../core/budgets.ts';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  bitsOf,
  familyOf,
  formatPrefix,
  ofFamily,
  samePath,
  type Family,
  type Path,
  type Prefix,
} from '../../../core/addr.ts';
import { encodeU64host, getU64host } from '../../../core/bytes.ts';
import { carries } from '../../../core/config/families.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { TagKeys } from '../../../core/tag/types.ts';
import type { PeerId, PlanePeer } from '../../../ports/data-plane.ts';
import { slices } from '../slices.ts';
import type { ProgramPeer } from './abi.ts';
import {
  HEADROOM,
  MIN_CAPACITY,
  MIN_TAG_ROOM,
  PEERS_AT_ONCE,
  TAG_ROOM_PER_PEER,
} from './limits.ts';
import { fixedFlags, possibleFlags, type Fixed } from './fixed.ts';
import type { Inheritance, Inherited } from './inheritance.ts';
import { monotonicEpoch } from '../monotonic-epoch.ts';
import { innerOf, PeerTable, tagOf, type Peer } from './peer-table.ts';
import { loadPrograms, type LoadOptions, type Programs } from './programs.ts';
import { RoamedPackets } from './roamed.ts';
import type { HeldTags, SharedMaps } from './tag-maps.ts';
import type { Ends } from './tunnel-pair.ts';

/** An inner address (a prefix of all its bits) or network. */
type Inner = Prefix;

/** How many of a family there are. */
type InnerCounts = { hosts: number; prefixes: number };

/** How a peer's packets leave. */
export type Way = {
  /** 0 = nowhere. */
  readonly device: IfIndex;
  readonly innerMtu: number;
};

/** Whether there is to be room for tags: no, yes, or in maps that other programs have had. */
export type Tags = 'none' | 'room' | SharedMaps;

/**
 * The peers of a tunnel, in the maps of its programs. Everything here but taking over from other maps is
 * done when the call returns.
 * Where admitted peers are, and their counters, is in the maps alone; user space keeps names. The maps
 * have a size for good: when there are more peers, new programs with larger maps inherit from the old
 * ones and are hung in their place, and so does a later run with those of an earlier one.
 */
export class PeerMaps implements Disposable {
  readonly programs: Programs;
  readonly peers = new PeerTable();
  readonly #fixed: Fixed;
  readonly #maxInner: number;
  readonly #roamed: RoamedPackets | undefined;
  /** None before there is a pair: the programs take nothing then. */
  #ends: Ends | undefined;
  readonly #inner: Readonly<Record<Family, InnerCounts>> = {
    ipv4: { hosts: 0, prefixes: 0 },
    ipv6: { hosts: 0, prefixes: 0 },
  };
  #defaultPeer: Peer | undefined;

  private constructor(programs: Programs, maxInner: number, fixed: Fixed) {
    this.programs = programs;
    this.#maxInner = maxInner;
    this.#fixed = fixed;
    if (!programs.tags.haveRoom) return;
    const { localPort } = fixed.config.outer;
    this.#roamed = new RoamedPackets(programs.roamed, localPort, ({ owner, path }) => {
      this.#hear(this.peers.at(programs.tags.indexOf(owner) ?? -1), path);
    });
  }

  /** Makes maps with room for these peers and some more; the programs are yet to be loaded. */
  static make(fixed: Fixed, peers: readonly PlanePeer[], tags: Tags): PeerMaps {
    const maxPeers = roomFor(peers.length);
    const maxInner = Math.max(2 * maxPeers, roomFor(innerCount(peers)));
    const ipv6 = {
      outside: fixed.outside.includes('ipv6'),
      inside: carries(fixed.config.inner, 'ipv6'),
    };
    const possible = possibleFlags(fixed, tags !== 'none');
    const programs = loadPrograms({
      ...{ maxPeers, maxInner, ipv6, possible },
      ...tagRoom(tags, maxPeers),
    });
    try {
      const maps = new PeerMaps(programs, maxInner, fixed);
      maps.configure(peers);
      return maps;
    } catch (error) {
      programs[Symbol.dispose]();
      throw error;
    }
  }

  /** Whether these peers, besides those that are known, find room. */
  hasRoom(peers: readonly PlanePeer[]): boolean {
    const known = peers.flatMap(({ id }) => this.peers.get(id) ?? []);
    const fresh = peers.length - known.length;
    const { ipv4, ipv6 } = this.#inner;
    const now = ipv4.hosts + ipv4.prefixes + ipv6.hosts + ipv6.prefixes;
    const inner = now + innerCount(peers) - innerCount(known);
    return this.peers.size + fresh <= this.programs.maxPeers && inner <= this.#maxInner;
  }

  /**
   * Makes peers known, or changes whose inner addresses are whose; there must be room. What a peer keeps
   * is its own all the time.
   */
  configure(peers: readonly PlanePeer[]): void {
    const given = new Map<string, Inner>();
    for (const { id } of peers) {
      const known = this.peers.get(id);
      if (known) for (const inner of innerOf(known)) given.set(formatPrefix(inner), inner);
      if (known && this.#defaultPeer === known) this.#defaultPeer = undefined;
    }
    this.#count(given.values(), -1);
    for (const slice of slices(peers, PEERS_AT_ONCE)) {
      const changed = slice.map((peer) => this.#know(peer));
      this.#writeHints(changed);
      for (const inner of this.#writeInner(changed)) given.delete(formatPrefix(inner));
      // What a slot says of inner addresses is changed where the peer is.
      for (const peer of changed) this.#rewrite(peer);
    }
    this.#removeInner(given.values());
    this.writeConfig();
  }

  /** Evicts a peer and forgets it. */
  remove(peer: Peer): void {
    this.evict(peer);
    this.programs.tags.retire(peer.tags, undefined);
    this.#dropHint(peer);
    this.#removeInner(innerOf(peer));
    this.#count(innerOf(peer), -1);
    if (this.#defaultPeer === peer) this.#defaultPeer = undefined;
    this.peers.remove(peer);
    this.programs.clearCounters(peer.index);
    this.writeConfig();
  }

  /** Admits a peer, or re-points it, and changes what its packets are tagged by. Throws with all as it was. */
  admit(peer: Peer, path: Path, way: Way, keys: TagKeys | undefined): void {
    const { tags } = this.programs;
    const before = peer.tags;
    const now = keys && tags.prepare(peer.index, before, keys);
    try {
      peer.tags = now;
      this.point(peer, path, way);
    } catch (error) {
      peer.tags = before;
      tags.retire(now, before);
      throw error;
    }
    tags.retire(before, now);
  }

  /** Re-points a peer. */
  point(peer: Peer, path: Path, way: Way): void {
    this.programs.admit(peer.index, this.#slot(peer, path, way));
    if (peer.path?.remote.ip !== path.remote.ip) {
      this.programs.rememberSources([path.remote.ip]);
    }
    peer.path = path;
  }

  /** Changes how an admitted peer's packets leave; false where nothing differs. */
  lead(peer: Peer, way: Way): boolean {
    const now = this.wayOf(peer);
    if (!peer.path || !now) return false;
    if (now.device === way.device && now.innerMtu === way.innerMtu) return false;
    this.point(peer, peer.path, way);
    return true;
  }

  evict(peer: Peer): void {
    this.programs.evict(peer.index);
    peer.path = undefined;
  }

  /** How an admitted peer's packets leave. */
  wayOf(peer: Peer): Way | undefined {
    const slot = this.programs.entries.peer(peer.index);
    return slot && { device: slot.outerDevice, innerMtu: slot.innerMtu };
  }

  /** The peer that is admitted on a path. */
  admittedAt(path: Path): Peer | undefined {
    const index = this.programs.entries.indexAt(path);
    return index === undefined ? undefined : this.peers.at(index);
  }

  /**
   * Admits whom other maps have admitted, with their counts. A slice at a time: others have their turn
   * between, and must change neither these maps nor those.
   */
  async inherit({ entries, paths }: Inheritance): Promise<void> {
    for (const slice of slices(paths, PEERS_AT_ONCE)) {
      const admissions: (readonly [number, ProgramPeer])[] = [];
      for (const [id, { path, index, tags }] of slice) {
        const peer = this.peers.get(id);
        const slot = entries.peer(index);
        if (!peer || !slot) continue;
        peer.path = path;
        this.#inheritTags(peer, tags);
        const way = { device: slot.outerDevice, innerMtu: slot.innerMtu };
        admissions.push([peer.index, this.#slot(peer, path, way)]);
        const counts = entries.rawCounters(index);
        if (counts) this.programs.setCounters(peer.index, counts);
      }
      this.programs.admitMany(admissions);
      this.programs.rememberSources(admissions.map(([, { remoteIp }]) => remoteIp));
      await nextTurn();
    }
  }

  /** Takes the place of maps that have become too small: of all their peers these are told as well. */
  async succeed(old: PeerMaps): Promise<void> {
    const paths = new Map<PeerId, Inherited>();
    for (const { id, path, index, limit, routeMtu, tags } of old.peers.all()) {
      if (path) paths.set(id, { path, index, tags });
      const peer = this.peers.get(id);
      if (!peer) continue;
      Object.assign(peer, { limit, routeMtu });
      this.#inheritTags(peer, tags);
    }
    await this.inherit({ entries: old.programs.entries, paths });
  }

  /** Takes away keys of tags that an earlier run has left and no peer has. */
  sweepTags(): void {
    if (!this.programs.tags.haveRoom) return;
    this.programs.tags.sweep([...this.peers.all()].flatMap(({ tags }) => tags ?? []));
  }

  /** The ends of the pair are these now. */
  setEnds(ends: Ends): void {
    this.#ends = ends;
    this.writeConfig();
  }

  /** Whether the programs do without what the config asks for by now. */
  get lacksFlags(): boolean {
    return !this.programs.allow(possibleFlags(this.#fixed, this.programs.tags.haveRoom));
  }

  writeConfig(): void {
    if (!this.#ends) return;
    const { config, authLengths, ttl } = this.#fixed;
    const { ipv4, ipv6 } = this.#inner;
    const { near, far } = this.#ends;
    this.programs.configure({
      ...fixedFlags(this.#fixed, this.programs.tags.haveRoom),
      near: near.index,
      far: far.index,
      nearMac: near.address?.subarray(0, 6) ?? new Uint8Array(6),
      localPort: config.outer.localPort,
      ttl: ttl.ipv4,
      hopLimit: ttl.ipv6,
      defaultPeer: this.#defaultPeer?.index,
      hasHosts: ipv4.hosts > 0,
      hasPrefixes: ipv4.prefixes > 0,
      hasHosts6: ipv6.hosts > 0,
      hasPrefixes6: ipv6.prefixes > 0,
      authLengths: [...authLengths],
      cookieEpoch: BigInt(Math.round(monotonicEpoch() * 1e6)),
      rates: PROGRAM_RATES,
    });
  }

  /** Lets go of user space's part. */
  [Symbol.dispose](): void {
    this.#roamed?.[Symbol.dispose]();
    this.programs[Symbol.dispose]();
  }

  #inheritTags(peer: Peer, tags: HeldTags | undefined): void {
    peer.tags = tags;
    if (tags) this.programs.tags.inherit(peer.index, tags);
  }

  #hear(peer: Peer | undefined, path: Path): void {
    if (peer?.path && !samePath(peer.path, path)) this.#fixed.roamed(peer.id, path);
  }

  #know(peer: PlanePeer): Peer {
    const known = this.peers.get(peer.id);
    if (!known) return this.peers.add(peer);
    known.innerIps = peer.innerIps;
    known.allowedIps = peer.allowedIps;
    known.remote = peer.remote;
    const hint = peer.hint && getU64host(peer.hint, 0);
    if (hint !== known.hint) this.#dropHint(known);
    known.hint = hint;
    return known;
  }

  #writeHints(peers: readonly Peer[]): void {
    this.programs.setHints(
      peers.flatMap(({ hint, index }) =>
        hint === undefined ? [] : [[encodeU64host(hint), index] as const],
      ),
    );
  }

  #dropHint({ hint, index }: Peer): void {
    if (hint !== undefined) this.programs.removeHint(encodeU64host(hint), index);
  }

  /** Gives these peers what is theirs; all of it. */
  #writeInner(peers: readonly Peer[]): readonly Inner[] {
    const all = peers.flatMap((peer) => innerOf(peer).map((inner) => ({ inner, peer })));
    const hosts = all.filter(({ inner }) => isHost(inner));
    this.programs.setHosts(hosts.map(({ inner, peer }) => [inner.ip, peer.index]));
    for (const { inner, peer } of all) {
      if (!isHost(inner)) this.programs.setPrefix(inner, peer.index);
    }
    for (const peer of peers) if (peer.allowedIps === 'any') this.#defaultPeer = peer;
    const written = all.map(({ inner }) => inner);
    this.#count(written, 1);
    return written;
  }

  #removeInner(inner: Iterable<Inner>): void {
    for (const prefix of inner) {
      if (isHost(prefix)) this.programs.removeHost(prefix.ip);
      else this.programs.removePrefix(prefix);
    }
  }

  #count(inner: Iterable<Inner>, sign: 1 | -1): void {
    for (const prefix of inner) {
      this.#inner[familyOf(prefix.ip)][isHost(prefix) ? 'hosts' : 'prefixes'] += sign;
    }
  }

  #rewrite(peer: Peer): void {
    const way = peer.path && this.wayOf(peer);
    if (peer.path && way) this.point(peer, peer.path, way);
  }

  #slot(peer: Peer, { local, remote }: Path, way: Way): ProgramPeer {
    return {
      remoteIp: remote.ip,
      remotePort: remote.port,
      localIp: local.ip,
      innerMtu: way.innerMtu,
      outerDevice: way.device,
      anySource: peer.allowedIps === 'any',
      innerIp: ofFamily(peer.innerIps, 'ipv4'),
      tagsOut: peer.tags?.number,
      tag: tagOf(peer),
    };
  }
}

function isHost({ ip, length }: Inner): boolean {
  return length === bitsOf(familyOf(ip));
}

function roomFor(count: number): number {
  return Math.max(MIN_CAPACITY, Math.ceil(count * HEADROOM));
}

function tagRoom(tags: Tags, maxPeers: number): Pick<LoadOptions, 'tags' | 'shared'> {
  if (tags === 'none') return {};
  if (tags !== 'room')
    return { shared: tags, tags: { receive: 1, send: tags.ipipou_tags_out.info.maxEntries } };
  const receive = Math.max(MIN_TAG_ROOM, TAG_ROOM_PER_PEER * maxPeers);
  return { tags: { receive, send: receive / 2 } };
}

function innerCount(peers: readonly Parameters<typeof innerOf>[0][]): number {
  return peers.reduce((sum, peer) => sum + innerOf(peer).length, 0);
}

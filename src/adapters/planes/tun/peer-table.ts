import {
  encodeIp,
  familyOf,
  ipv4ToNumber,
  ipv4EndpointKey,
  type EndpointKey,
  type Family,
  type Path,
} from '../../../core/addr.ts';
import { encodeSockaddr, SOCKADDR_IN_LENGTH } from '../../../core/wire/sockaddr.ts';
import type { Bucket } from '../../../core/session/rate-limit.ts';
import { TAG_LENGTH } from '../../../core/tag/layout.ts';
import type { TagKeys } from '../../../core/tag/types.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import type { SharedCounters } from './counters.ts';
import { HintTable, type HintWords } from './hint-table.ts';
import { Ipv6PrefixTable } from './ipv6-prefix-table.ts';
import {
  hostWords,
  IPV6_WORDS,
  ipv6Words,
  isLinkLocal,
  isMulticast,
  isReserved,
} from './ipv6-words.ts';
import { PrefixTable } from './prefix-table.ts';
import { TagTable, type PeerTags } from './tag-table.ts';
import { WordsMap } from './words-map.ts';

/** A peer as the forwarding thread is told of it. */
export type MemberSpec = {
  readonly id: PeerId;
  /**
   * Address (an unsigned number) and length of each IPv4 prefix, in turn; undefined = any: every inner source
   * is taken from it, and it gets what no prefix matches.
   */
  readonly prefixes: readonly number[] | undefined;
  /** The same of IPv6 (ipv6-words.ts): four words and a length, in turn. Many tunnels have none. */
  readonly ipv6Prefixes?: readonly number[] | undefined;
  /** Of its key; undefined where it has none. */
  readonly hint?: HintWords | undefined;
};

/** A known peer. There may be many, so it holds what it must while it is not admitted. */
export type Member = {
  readonly id: PeerId;
  prefixes: MemberSpec['prefixes'];
  ipv6Prefixes: MemberSpec['ipv6Prefixes'];
  hint: MemberSpec['hint'];
  /** Largest inner packet on its path, bytes, where the tunnel carries IPv6; undefined: not known. */
  mtu: number | undefined;
  admitted: Peer | undefined;
  /** While it is not admitted, counters and windows alone: it may come back under the same keys. */
  tags: PeerTags<Member> | undefined;
};

/** An admitted peer, ready for the loop: addresses as numbers or words, and what it moved. */
export type Peer = {
  readonly member: Member;
  /** Slot in the shared counters. */
  readonly slot: number;
  readonly path: Path;
  /** Of the path. */
  readonly family: Family;
  /** 0 where the path is of IPv6. */
  readonly localIp: number;
  readonly remoteIp: number;
  readonly remotePort: number;
  /** Local address, remote address and remote port where the path is of IPv6, else empty. */
  readonly pathWords: Uint32Array;
  /**
   * What messages to it bear (message-shape.ts), words in host byte order: its struct sockaddr_in without the zeros, or
   * sockaddr_in6, and then the local address. One list, and no typed array: there may be many peers.
   */
  readonly words: readonly number[];
  /** Its packets carry these tags; undefined: none. */
  readonly tags: PeerTags<Member> | undefined;
  /** Whether what follows is not all zero, and so in the list of those to be counted. */
  marked: boolean;
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
  /** Packets from it whose inner source is not its own. */
  foreign: number;
  /** Datagrams to it that did not fit its path. */
  tooBig: number;
  /** Packets from its path whose tag was wrong, that had come before, and that were data without a tag. */
  tagFailures: number;
  replays: number;
  untagged: number;
  /** Packets of its that are not data and did not go up: over its budget. */
  control: number;
  /** Budget of what goes up (control-gate.ts). */
  controlBucket: Bucket | undefined;
  forgottenBucket: Bucket | undefined;
};

/** Words of a path of IPv6: see `Peer.pathWords`. */
export const PATH_WORDS = 2 * IPV6_WORDS + 1;

/**
 * Who is known and who is admitted: by id, by path, and by inner address, of either family. The local port is
 * the sockets' and the same for all. Holds as many peers as its owner makes known.
 */
export class PeerTable {
  /** Of all that are known. */
  readonly hints = new HintTable();
  /** Of all that are admitted with tags. */
  readonly tags = new TagTable<Member>();
  readonly #members = new Map<PeerId, Member>();
  readonly #byPrefix = new PrefixTable<Member>();
  readonly #byIpv6Prefix = new Ipv6PrefixTable<Member>();
  readonly #byLocal = new Map<number, Map<EndpointKey, Peer>>();
  readonly #byIpv6Path = new WordsMap<Peer>(PATH_WORDS);
  /** Peers that are `any`; the one that came last gets what no prefix matches. */
  readonly #any = new Set<Member>();
  #fallback: Member | undefined;
  #last: Peer | undefined;
  #lastIpv6: Peer | undefined;
  readonly #marked: Peer[] = [];

  get(id: PeerId): Peer | undefined {
    return this.#members.get(id)?.admitted;
  }

  /** Makes a peer known, or changes what is its own; an admitted one stays admitted. */
  configure({ id, prefixes, ipv6Prefixes, hint }: MemberSpec): void {
    const member = this.#members.get(id) ?? {
      id,
      prefixes: [],
      ipv6Prefixes: undefined,
      hint: undefined,
      mtu: undefined,
      admitted: undefined,
      tags: undefined,
    };
    this.#disown(member);
    member.prefixes = prefixes;
    member.ipv6Prefixes = ipv6Prefixes;
    member.hint = hint;
    if (hint) this.hints.add(hint);
    this.#members.set(id, member);
    for (const [address, length] of pairs(prefixes)) this.#byPrefix.set(address, length, member);
    for (const [address, length] of ipv6Pairs(ipv6Prefixes)) {
      this.#byIpv6Prefix.set(address, length, member);
    }
    if (prefixes) return;
    this.#any.add(member);
    this.#fallback = member;
  }

  /** Evicts a peer and forgets it. */
  remove(id: PeerId): void {
    const member = this.#members.get(id);
    if (!member) return;
    this.evict(id);
    this.#disown(member);
    this.#members.delete(id);
  }

  /** Admits a known peer or re-points it; what of it is another peer's, and no change, where it cannot be. */
  admit(id: PeerId, slot: number, path: Path, tags?: TagKeys): 'path' | 'index' | undefined {
    const member = this.#members.get(id);
    if (!member) throw new Error(`peer ${id} is not known`);
    const way = wayOf(path);
    const holder = this.#holder(way);
    if (holder && holder.member !== member) return 'path';
    if (tags && !this.tags.mayUse(member, tags)) return 'index';
    this.#withdraw(member);
    this.tags.drop(member.tags);
    member.tags = tags && this.tags.use(member, tags, member.tags);
    const peer = makePeer(member, slot, way);
    member.admitted = peer;
    if (peer.family === 'ipv6') {
      this.#byIpv6Path.set(peer.pathWords, peer);
      return undefined;
    }
    const sameLocal = this.#byLocal.get(peer.localIp) ?? new Map<EndpointKey, Peer>();
    sameLocal.set(ipv4EndpointKey(peer.remoteIp, peer.remotePort), peer);
    this.#byLocal.set(peer.localIp, sameLocal);
    return undefined;
  }

  /** The path to a peer takes inner packets of this size now. */
  resize(id: PeerId, mtu: number | undefined): void {
    const member = this.#members.get(id);
    if (member) member.mtu = mtu;
  }

  evict(id: PeerId): void {
    const member = this.#members.get(id);
    if (!member) return;
    this.#withdraw(member);
    member.tags = member.tags && this.tags.retire(member.tags);
  }

  #withdraw(member: Member): void {
    const { admitted: peer } = member;
    if (!peer) return;
    member.admitted = undefined;
    this.#last = undefined;
    this.#lastIpv6 = undefined;
    if (peer.family === 'ipv6') {
      this.#byIpv6Path.delete(peer.pathWords);
      return;
    }
    const sameLocal = this.#byLocal.get(peer.localIp);
    sameLocal?.delete(ipv4EndpointKey(peer.remoteIp, peer.remotePort));
    if (sameLocal?.size === 0) this.#byLocal.delete(peer.localIp);
  }

  /** Whom a packet to this inner address is for, if that peer is admitted. */
  recipient(destination: number): Peer | undefined {
    const owner = this.#byPrefix.find(destination) ?? this.#fallback;
    return owner?.admitted;
  }

  /**
   * The same of an IPv6 address (ipv6-words.ts). One of a link is for nobody who is not told to have it, and what
   * has no place on a network for nobody at all.
   */
  ipv6Recipient(destination: Uint32Array): Peer | undefined {
    if (isMulticast(destination) || isReserved(destination)) return undefined;
    const fallback = isLinkLocal(destination) ? undefined : this.#fallback;
    return (this.#byIpv6Prefix.find(destination) ?? fallback)?.admitted;
  }

  /** Whether a peer may send from this inner address. */
  maySend(peer: Peer, source: number): boolean {
    const { member } = peer;
    return member.prefixes === undefined || this.#byPrefix.find(source) === member;
  }

  /** The same of an IPv6 address; what may send from any one may do so from hosts': see `ipv6Recipient`. */
  ipv6MaySend(peer: Peer, source: Uint32Array): boolean {
    if (isMulticast(source) || isReserved(source)) return false;
    const { member } = peer;
    if (member.prefixes === undefined && !isLinkLocal(source)) return true;
    return this.#byIpv6Prefix.find(source) === member;
  }

  /** The peer admitted on exactly this path of IPv4. Makes nothing while packets keep coming from one peer. */
  at(localIp: number, remoteIp: number, remotePort: number): Peer | undefined {
    const last = this.#last;
    if (last?.remoteIp === remoteIp && last.remotePort === remotePort && last.localIp === localIp) {
      return last;
    }
    const found = this.#byLocal.get(localIp)?.get(ipv4EndpointKey(remoteIp, remotePort));
    if (found) this.#last = found;
    return found;
  }

  /** The same of IPv6; `path` as `Peer.pathWords`. Makes nothing. */
  ipv6At(path: Uint32Array): Peer | undefined {
    const last = this.#lastIpv6;
    if (last && samePathWords(last.pathWords, path)) return last;
    const found = this.#byIpv6Path.get(path);
    if (found) this.#lastIpv6 = found;
    return found;
  }

  /** The peer admitted on this path. */
  find(path: Path): Peer | undefined {
    if (familyOf(path.remote.ip) === 'ipv6') return this.ipv6At(pathWords(path));
    const remote = ipv4ToNumber(path.remote.ip);
    return this.at(ipv4ToNumber(path.local.ip), remote, path.remote.port);
  }

  received(peer: Peer, packets: number, bytes: number): void {
    this.#mark(peer);
    peer.rxPackets += packets;
    peer.rxBytes += bytes;
  }

  /** `bytes` of datagrams, tags among them. */
  sent(peer: Peer, datagrams: number, bytes: number): void {
    this.#mark(peer);
    peer.txPackets += datagrams;
    peer.txBytes += peer.tags ? bytes - datagrams * TAG_LENGTH : bytes;
  }

  /** A packet came from it whose inner source is not its own. */
  refusedSource(peer: Peer): void {
    this.#mark(peer);
    peer.foreign += 1;
  }

  /** Datagrams to it did not fit its path. */
  refusedSize(peer: Peer, datagrams: number): void {
    this.#mark(peer);
    peer.tooBig += datagrams;
  }

  /** A packet from its path had a wrong tag. */
  refusedTag(peer: Peer): void {
    this.#mark(peer);
    peer.tagFailures += 1;
  }

  /** A tagged packet from its path had come before. */
  refusedReplay(peer: Peer): void {
    this.#mark(peer);
    peer.replays += 1;
  }

  /** Data from its path had no tag. */
  refusedUntagged(peer: Peer): void {
    this.#mark(peer);
    peer.untagged += 1;
  }

  /** A packet of its that is not data did not go up. */
  refusedControl(peer: Peer): void {
    this.#mark(peer);
    peer.control += 1;
  }

  /** Adds what was moved since the last time to the shared counters. `now`: see SharedCounters. */
  count(into: SharedCounters, now: number): void {
    for (const peer of this.#marked) {
      into.add(peer.slot, peer, now);
      peer.marked = false;
      peer.rxPackets = 0;
      peer.rxBytes = 0;
      peer.txPackets = 0;
      peer.txBytes = 0;
      peer.foreign = 0;
      peer.tooBig = 0;
      peer.tagFailures = 0;
      peer.replays = 0;
      peer.untagged = 0;
      peer.control = 0;
    }
    this.#marked.length = 0;
  }

  #mark(peer: Peer): void {
    if (peer.marked) return;
    peer.marked = true;
    this.#marked.push(peer);
  }

  #holder({ family, pathWords: words, localIp, remoteIp, remotePort }: Way): Peer | undefined {
    return family === 'ipv6' ? this.ipv6At(words) : this.at(localIp, remoteIp, remotePort);
  }

  #disown(member: Member): void {
    if (member.hint) this.hints.delete(member.hint);
    for (const [address, length] of pairs(member.prefixes)) {
      this.#byPrefix.delete(address, length, member);
    }
    for (const [address, length] of ipv6Pairs(member.ipv6Prefixes)) {
      this.#byIpv6Prefix.delete(address, length, member);
    }
    if (this.#any.delete(member)) this.#fallback = [...this.#any].at(-1);
  }
}

function* pairs(flat: readonly number[] = []): Iterable<readonly [number, number]> {
  for (let at = 0; at < flat.length; at += 2) yield [flat[at] ?? 0, flat[at + 1] ?? 0];
}

function* ipv6Pairs(flat: readonly number[] = []): Iterable<readonly [Uint32Array, number]> {
  const each = IPV6_WORDS + 1;
  for (let at = 0; at < flat.length; at += each) {
    yield [Uint32Array.from(flat.slice(at, at + IPV6_WORDS)), flat[at + IPV6_WORDS] ?? 0];
  }
}

/** What of a peer its path alone says. */
type Way = Pick<
  Peer,
  'path' | 'family' | 'localIp' | 'remoteIp' | 'remotePort' | 'pathWords' | 'words'
>;

function makePeer(member: Member, slot: number, way: Way): Peer {
  return {
    member,
    slot,
    ...way,
    tags: member.tags,
    marked: false,
    rxPackets: 0,
    rxBytes: 0,
    txPackets: 0,
    txBytes: 0,
    foreign: 0,
    tooBig: 0,
    tagFailures: 0,
    replays: 0,
    untagged: 0,
    control: 0,
    controlBucket: undefined,
    forgottenBucket: undefined,
  };
}

function wayOf(path: Path): Way {
  const family = familyOf(path.remote.ip);
  const ipv4 = family === 'ipv4';
  const name = encodeSockaddr(path.remote);
  return {
    path,
    family,
    localIp: ipv4 ? ipv4ToNumber(path.local.ip) : 0,
    remoteIp: ipv4 ? ipv4ToNumber(path.remote.ip) : 0,
    remotePort: path.remote.port,
    pathWords: ipv4 ? NO_WORDS : pathWords(path),
    // A copy has no room to spare.
    words: [
      ...hostWords(ipv4 ? name.subarray(0, SOCKADDR_IN_LENGTH - ZEROS) : name),
      ...hostWords(encodeIp(path.local.ip)),
    ].slice(),
  };
}

const NO_WORDS = new Uint32Array();
/** Bytes at the end of a struct sockaddr_in that mean nothing. */
const ZEROS = 8;

function pathWords({ local, remote }: Path): Uint32Array {
  return Uint32Array.of(...ipv6Words(local.ip), ...ipv6Words(remote.ip), remote.port);
}

function samePathWords(one: Uint32Array, other: Uint32Array): boolean {
  for (let index = 0; index < PATH_WORDS; index += 1) {
    if (one[index] !== other[index]) return false;
  }
  return true;
}

import {
  encodeIpv4,
  ipv4ToNumber,
  ipv4EndpointKey,
  type Path,
  type EndpointKey,
} from '../../../core/addr.ts';
import { getU32host } from '../../../core/bytes.ts';
import { encodeSockaddrIn } from '../../../core/wire/sockaddr.ts';
import type { Bucket } from '../../../core/session/rate-limit.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import type { SharedCounters } from './counters.ts';
import { HintTable, type HintWords } from './hint-table.ts';
import { PrefixTable } from './prefix-table.ts';

/** A peer as the forwarding thread is told of it. */
export type MemberSpec = {
  readonly id: PeerId;
  /**
   * Address (an unsigned number) and length of each prefix, in turn; undefined = any: every inner source
   * is taken from it, and it gets what no prefix matches.
   */
  readonly prefixes: readonly number[] | undefined;
  /** Of its key; undefined where it has none. */
  readonly hint?: HintWords | undefined;
};

/** A known peer. There may be many, so it holds what it must while it is not admitted. */
type Member = {
  readonly id: PeerId;
  prefixes: MemberSpec['prefixes'];
  hint: MemberSpec['hint'];
  admitted: Peer | undefined;
};

/** An admitted peer, ready for the loop: addresses as numbers, and what it moved. */
export type Peer = {
  readonly member: Member;
  /** Slot in the shared counters. */
  readonly slot: number;
  readonly path: Path;
  readonly localIp: number;
  readonly remoteIp: number;
  readonly remotePort: number;
  /** The first eight bytes of its struct sockaddr_in, as words in host byte order. */
  readonly nameWords: readonly [number, number];
  /** `localIp` in network byte order, read as a word in host byte order. */
  readonly sourceWord: number;
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
  /** Packets of its that are not data and did not go up: over its budget. */
  control: number;
  /** Budget of what goes up (control-gate.ts). */
  controlBucket: Bucket | undefined;
};

/**
 * Who is known and who is admitted: by id, by path, and by inner address. The local port is the
 * socket's and the same for all. Holds as many peers as its owner makes known.
 */
export class PeerTable {
  /** Of all that are known. */
  readonly hints = new HintTable();
  readonly #members = new Map<PeerId, Member>();
  readonly #byPrefix = new PrefixTable<Member>();
  readonly #byLocal = new Map<number, Map<EndpointKey, Peer>>();
  /** Peers that are `any`; the one that came last gets what no prefix matches. */
  readonly #any = new Set<Member>();
  #fallback: Member | undefined;
  #last: Peer | undefined;
  readonly #marked: Peer[] = [];

  get(id: PeerId): Peer | undefined {
    return this.#members.get(id)?.admitted;
  }

  /** Makes a peer known, or changes what is its own; an admitted one stays admitted. */
  configure({ id, prefixes, hint }: MemberSpec): void {
    const member = this.#members.get(id) ?? {
      id,
      prefixes: [],
      hint: undefined,
      admitted: undefined,
    };
    this.#disown(member);
    member.prefixes = prefixes;
    member.hint = hint;
    if (hint) this.hints.add(hint);
    this.#members.set(id, member);
    for (const [address, length] of pairs(prefixes)) this.#byPrefix.set(address, length, member);
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

  /** Admits a known peer or re-points it; false, and no change, when the path is another peer's. */
  admit(id: PeerId, slot: number, path: Path): boolean {
    const member = this.#members.get(id);
    if (!member) throw new Error(`peer ${id} is not known`);
    const peer = makePeer(member, slot, path);
    const holder = this.at(peer.localIp, peer.remoteIp, peer.remotePort);
    if (holder && holder.member !== member) return false;
    this.evict(id);
    member.admitted = peer;
    const sameLocal = this.#byLocal.get(peer.localIp) ?? new Map<EndpointKey, Peer>();
    sameLocal.set(ipv4EndpointKey(peer.remoteIp, peer.remotePort), peer);
    this.#byLocal.set(peer.localIp, sameLocal);
    return true;
  }

  evict(id: PeerId): void {
    const member = this.#members.get(id);
    const peer = member?.admitted;
    if (!member || !peer) return;
    member.admitted = undefined;
    this.#last = undefined;
    const sameLocal = this.#byLocal.get(peer.localIp);
    sameLocal?.delete(ipv4EndpointKey(peer.remoteIp, peer.remotePort));
    if (sameLocal?.size === 0) this.#byLocal.delete(peer.localIp);
  }

  /** Whom a packet to this inner address is for, if that peer is admitted. */
  recipient(destination: number): Peer | undefined {
    const owner = this.#byPrefix.find(destination) ?? this.#fallback;
    return owner?.admitted;
  }

  /** Whether a peer may send from this inner address. */
  maySend(peer: Peer, source: number): boolean {
    const { member } = peer;
    return member.prefixes === undefined || this.#byPrefix.find(source) === member;
  }

  /** The peer admitted on exactly this path. Makes nothing while packets keep coming from one peer. */
  at(localIp: number, remoteIp: number, remotePort: number): Peer | undefined {
    const last = this.#last;
    if (last?.remoteIp === remoteIp && last.remotePort === remotePort && last.localIp === localIp) {
      return last;
    }
    const found = this.#byLocal.get(localIp)?.get(ipv4EndpointKey(remoteIp, remotePort));
    if (found) this.#last = found;
    return found;
  }

  /** The peer admitted on this path. */
  find(path: Path): Peer | undefined {
    const remote = ipv4ToNumber(path.remote.ip);
    return this.at(ipv4ToNumber(path.local.ip), remote, path.remote.port);
  }

  received(peer: Peer, packets: number, bytes: number): void {
    this.#mark(peer);
    peer.rxPackets += packets;
    peer.rxBytes += bytes;
  }

  sent(peer: Peer, packets: number, bytes: number): void {
    this.#mark(peer);
    peer.txPackets += packets;
    peer.txBytes += bytes;
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
      peer.control = 0;
    }
    this.#marked.length = 0;
  }

  #mark(peer: Peer): void {
    if (peer.marked) return;
    peer.marked = true;
    this.#marked.push(peer);
  }

  #disown(member: Member): void {
    if (member.hint) this.hints.delete(member.hint);
    for (const [address, length] of pairs(member.prefixes)) {
      this.#byPrefix.delete(address, length, member);
    }
    if (this.#any.delete(member)) this.#fallback = [...this.#any].at(-1);
  }
}

function* pairs(flat: readonly number[] = []): Iterable<readonly [number, number]> {
  for (let at = 0; at < flat.length; at += 2) yield [flat[at] ?? 0, flat[at + 1] ?? 0];
}

function makePeer(member: Member, slot: number, path: Path): Peer {
  const name = encodeSockaddrIn(path.remote);
  return {
    member,
    slot,
    path,
    localIp: ipv4ToNumber(path.local.ip),
    remoteIp: ipv4ToNumber(path.remote.ip),
    remotePort: path.remote.port,
    nameWords: [getU32host(name, 0), getU32host(name, 4)],
    sourceWord: getU32host(encodeIpv4(path.local.ip), 0),
    marked: false,
    rxPackets: 0,
    rxBytes: 0,
    txPackets: 0,
    txBytes: 0,
    foreign: 0,
    tooBig: 0,
    control: 0,
    controlBucket: undefined,
  };
}

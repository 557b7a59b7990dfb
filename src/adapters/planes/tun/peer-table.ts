import { encodeIpv4, ipv4ToNumber, type Path } from '../../../core/addr.ts';
import { getU32host } from '../../../core/bytes.ts';
import { encodeSockaddrIn } from '../../../core/wire/sockaddr.ts';
import { DEFAULT_PEER } from '../../../core/config/tunnel-config.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import type { SharedCounters } from './counters.ts';

/** An admitted peer, ready for the loop: addresses as numbers, and its headers' bytes. */
export type Peer = {
  readonly id: PeerId;
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
  /** What this turn moved, not yet in the shared counters. */
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
};

/**
 * Who is admitted, by id and by path. The local port is the socket's and the same for all. Holds as
 * many peers as its owner admits (at most MAX_PEERS).
 */
export class PeerTable {
  readonly #byId = new Map<PeerId, Peer>();
  readonly #byLocal = new Map<number, Map<number, Peer>>();
  #last: Peer | undefined;
  /** Peers whose packets are not in the shared counters yet; a peer is in here once. */
  readonly #moved: Peer[] = [];

  get(id: PeerId): Peer | undefined {
    return this.#byId.get(id);
  }

  all(): IterableIterator<Peer> {
    return this.#byId.values();
  }

  /** Whom a packet to this inner address is for. */
  recipient(_destination: number): Peer | undefined {
    return this.#byId.get(DEFAULT_PEER);
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

  /** Adds what was moved since the last time to the shared counters. */
  count(into: SharedCounters): void {
    for (const peer of this.#moved) {
      if (peer.rxPackets > 0) into.received(peer.slot, peer.rxPackets, peer.rxBytes);
      if (peer.txPackets > 0) into.sent(peer.slot, peer.txPackets, peer.txBytes);
      peer.rxPackets = 0;
      peer.rxBytes = 0;
      peer.txPackets = 0;
      peer.txBytes = 0;
    }
    this.#moved.length = 0;
  }

  #mark(peer: Peer): void {
    if (peer.rxPackets === 0 && peer.txPackets === 0) this.#moved.push(peer);
  }

  /** Admits a peer or re-points it; false, and no change, when the path is another peer's. */
  admit(id: PeerId, slot: number, path: Path): boolean {
    const peer = makePeer(id, slot, path);
    const holder = this.at(peer.localIp, peer.remoteIp, peer.remotePort);
    if (holder && holder.id !== id) return false;
    this.evict(id);
    this.#byId.set(id, peer);
    const sameLocal = this.#byLocal.get(peer.localIp) ?? new Map<number, Peer>();
    sameLocal.set(remoteKey(peer.remoteIp, peer.remotePort), peer);
    this.#byLocal.set(peer.localIp, sameLocal);
    return true;
  }

  evict(id: PeerId): void {
    const peer = this.#byId.get(id);
    if (!peer) return;
    this.#byId.delete(id);
    this.#last = undefined;
    const sameLocal = this.#byLocal.get(peer.localIp);
    sameLocal?.delete(remoteKey(peer.remoteIp, peer.remotePort));
    if (sameLocal?.size === 0) this.#byLocal.delete(peer.localIp);
  }

  /** The peer admitted on exactly this path. Makes nothing while packets keep coming from one peer. */
  at(localIp: number, remoteIp: number, remotePort: number): Peer | undefined {
    const last = this.#last;
    if (last?.remoteIp === remoteIp && last.remotePort === remotePort && last.localIp === localIp) {
      return last;
    }
    const found = this.#byLocal.get(localIp)?.get(remoteKey(remoteIp, remotePort));
    if (found) this.#last = found;
    return found;
  }

  /** The peer admitted on this path. */
  find(path: Path): Peer | undefined {
    const remote = ipv4ToNumber(path.remote.ip);
    return this.at(ipv4ToNumber(path.local.ip), remote, path.remote.port);
  }
}

function makePeer(id: PeerId, slot: number, path: Path): Peer {
  const name = encodeSockaddrIn(path.remote);
  return {
    id,
    slot,
    path,
    localIp: ipv4ToNumber(path.local.ip),
    remoteIp: ipv4ToNumber(path.remote.ip),
    remotePort: path.remote.port,
    nameWords: [getU32host(name, 0), getU32host(name, 4)],
    sourceWord: getU32host(encodeIpv4(path.local.ip), 0),
    rxPackets: 0,
    rxBytes: 0,
    txPackets: 0,
    txBytes: 0,
  };
}

/** 48 bits: exact in a number. */
function remoteKey(ip: number, port: number): number {
  return ip * 65_536 + port;
}

import { ipv4ToNumber, type Path } from '../../../core/addr.ts';
import { encodeSockaddrIn, SOCKADDR_IN_LENGTH } from '../../../core/wire/sockaddr.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import type { Destination } from './message-batch.ts';
import { encodePktinfo, PKTINFO_SPACE, type AddressOf } from './message-headers.ts';
import { pinned } from './packet-batch.ts';

/** An admitted peer, ready for the loop: addresses as numbers, and its headers' bytes. */
export type Peer = {
  readonly id: PeerId;
  /** Slot in the shared counters. */
  readonly slot: number;
  readonly path: Path;
  readonly localIp: number;
  readonly remoteIp: number;
  readonly remotePort: number;
  readonly destination: Destination;
  /** Memory behind `destination`; kept reachable. */
  readonly memory: readonly Uint8Array[];
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
  readonly #addressOf: AddressOf;
  readonly #byId = new Map<PeerId, Peer>();
  readonly #byLocal = new Map<number, Map<number, Peer>>();
  #last: Peer | undefined;

  constructor(addressOf: AddressOf) {
    this.#addressOf = addressOf;
  }

  get(id: PeerId): Peer | undefined {
    return this.#byId.get(id);
  }

  all(): IterableIterator<Peer> {
    return this.#byId.values();
  }

  /** Admits a peer or re-points it; false, and no change, when the path is another peer's. */
  admit(id: PeerId, slot: number, path: Path): boolean {
    const peer = this.#peer(id, slot, path);
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

  #peer(id: PeerId, slot: number, path: Path): Peer {
    const localIp = ipv4ToNumber(path.local.ip);
    const remoteIp = ipv4ToNumber(path.remote.ip);
    const name = pinned(SOCKADDR_IN_LENGTH);
    const control = pinned(PKTINFO_SPACE);
    name.set(encodeSockaddrIn(path.remote));
    encodePktinfo(control, localIp);
    return {
      id,
      slot,
      path,
      localIp,
      remoteIp,
      remotePort: path.remote.port,
      destination: { name: this.#addressOf(name), control: this.#addressOf(control) },
      memory: [name, control],
      rxPackets: 0,
      rxBytes: 0,
      txPackets: 0,
      txBytes: 0,
    };
  }
}

/** 48 bits: exact in a number. */
function remoteKey(ip: number, port: number): number {
  return ip * 65_536 + port;
}

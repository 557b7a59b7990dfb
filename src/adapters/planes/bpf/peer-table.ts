import {
  hostPrefix,
  isHostOf,
  ofFamily,
  type InnerIp,
  type Path,
  type Prefix,
} from '../../../core/addr.ts';
import { encodeU64host, getU64host } from '../../../core/bytes.ts';
import type { PeerId, PlanePeer } from '../../../ports/data-plane.ts';
import { Slots } from '../slots.ts';
import type { HeldTags } from './tag-maps.ts';

/** What user space remembers of a peer; the rest is in the maps. */
export type Peer = {
  readonly id: PeerId;
  /** Its place in the maps of peers and counters. */
  readonly index: number;
  innerIps: readonly InnerIp[];
  allowedIps: PlanePeer['allowedIps'];
  remote: PlanePeer['remote'];
  /** The hint of its key in the host's byte order: an array of eight bytes takes five times as much. */
  hint: bigint | undefined;
  /** Where it is admitted. */
  path: Path | undefined;
  /** Largest inner packet by the owner's word. */
  limit: number | undefined;
  /** The MTU on its routes; undefined = the device's. */
  routeMtu: number | undefined;
  /** What its packets are tagged by. It is kept while the peer is evicted: what has been sent under it stays sent. */
  tags: HeldTags | undefined;
};

export type AdmittedPeer = Peer & { readonly path: Path };

/** Peers by name and by index. Indexes that were given up are given again first. */
export class PeerTable {
  readonly #byId = new Map<PeerId, Peer>();
  readonly #byIndex: (Peer | undefined)[] = [];
  readonly #slots = new Slots();

  get size(): number {
    return this.#byId.size;
  }

  get(id: PeerId): Peer | undefined {
    return this.#byId.get(id);
  }

  at(index: number): Peer | undefined {
    return this.#byIndex[index];
  }

  all(): IterableIterator<Peer> {
    return this.#byId.values();
  }

  *admitted(): Generator<AdmittedPeer> {
    for (const peer of this.#byId.values()) if (isAdmitted(peer)) yield peer;
  }

  /** Adds a peer that is not there, at the lowest index that is to be had. */
  add({ id, innerIps, allowedIps, hint, remote }: PlanePeer): Peer {
    const index = this.#slots.take();
    // Written out: an object made by spreading has a hidden class of its own, which costs 270 bytes.
    const peer: Peer = {
      id,
      index,
      innerIps,
      allowedIps,
      remote,
      hint: hint && getU64host(hint, 0),
      path: undefined,
      limit: undefined,
      routeMtu: undefined,
      tags: undefined,
    };
    this.#byId.set(id, peer);
    this.#byIndex[index] = peer;
    return peer;
  }

  remove(peer: Peer): void {
    this.#byId.delete(peer.id);
    this.#byIndex[peer.index] = undefined;
    this.#slots.giveUp(peer.index);
  }
}

function isAdmitted(peer: Peer): peer is AdmittedPeer {
  return peer.path !== undefined;
}

/** A peer as the owner has told of it. */
export function asTold({ id, innerIps, allowedIps, remote, hint }: Peer): PlanePeer {
  const told = hint === undefined ? undefined : encodeU64host(hint);
  return { id, innerIps, allowedIps, remote, hint: told };
}

/** Inner addresses and networks of a peer; the addresses of its own are always among them. */
export function innerOf({
  innerIps,
  allowedIps,
}: Pick<PlanePeer, 'innerIps' | 'allowedIps'>): readonly Prefix[] {
  const all = allowedIps === 'any' ? [] : allowedIps;
  const absent = innerIps.filter((ip) => !all.some((prefix) => isHostOf(prefix, [ip])));
  return absent.length === 0 ? all : [...absent.map((ip) => hostPrefix(ip)), ...all];
}

/**
 * A name in 32 bits (FNV-1a), and the inner address of IPv6 where there is one, by which a later run knows a peer;
 * that of IPv4 is in the maps.
 */
export function tagOf({ id, innerIps }: Pick<PlanePeer, 'id' | 'innerIps'>): number {
  const text = `${id}${ofFamily(innerIps, 'ipv6') ?? ''}`;
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

import { familyOf, ipv4ToNumber, type InnerIp, type Path } from '../../../core/addr.ts';
import type { PeerId, PlanePeer } from '../../../ports/data-plane.ts';
import { requirePeer } from '../refusals.ts';
import { Slots } from '../slots.ts';
import { hintWords } from './hint-table.ts';
import { ipv6Words } from './ipv6-words.ts';
import type { MemberSpec } from './peer-table.ts';

/** What the main thread remembers of a peer. */
export type KnownPeer = {
  readonly id: PeerId;
  innerIps: readonly InnerIp[];
  allowedIps: PlanePeer['allowedIps'];
  remote: PlanePeer['remote'];
  /** Its slot in the shared counters, from its first admission on. */
  slot: number | undefined;
  /** Where it is admitted. */
  path: Path | undefined;
  /** Whether its packets carry tags there. */
  tagged: boolean;
  /** Largest inner packet by the owner's word. */
  limit: number | undefined;
  /** Largest inner packet on its path while it is admitted. */
  mtu: number | undefined;
};

/** Peers by name, and slots for their counters. As many as the owner makes known. */
export class KnownPeers {
  readonly #byId = new Map<PeerId, KnownPeer>();
  readonly #slots = new Slots();

  get(id: PeerId): KnownPeer | undefined {
    return this.#byId.get(id);
  }

  /** Throws IpipouError for one that is not known. */
  require(id: PeerId): KnownPeer {
    return requirePeer(this.#byId, id);
  }

  all(): Iterable<KnownPeer> {
    return this.#byId.values();
  }

  *admitted(): Iterable<KnownPeer> {
    for (const peer of this.#byId.values()) if (peer.path) yield peer;
  }

  configure({ id, innerIps, allowedIps, remote }: PlanePeer): KnownPeer {
    const nothing = { slot: undefined, path: undefined, limit: undefined, mtu: undefined };
    const peer = this.#byId.get(id) ?? {
      ...{ id, innerIps, allowedIps, remote, ...nothing },
      tagged: false,
    };
    peer.innerIps = innerIps;
    peer.allowedIps = allowedIps;
    peer.remote = remote;
    this.#byId.set(id, peer);
    return peer;
  }

  /** Forgets a peer; its slot is another's from now on. */
  remove(peer: KnownPeer): void {
    this.#byId.delete(peer.id);
    if (peer.slot !== undefined) this.#slots.giveUp(peer.slot);
  }

  /** A slot that nobody has: a used one if there is any, else the next. */
  takeSlot(): number {
    return this.#slots.take();
  }
}

/** What the forwarding thread is told of a peer. */
export function memberOf(peer: Pick<PlanePeer, 'id' | 'allowedIps' | 'hint'>): MemberSpec {
  const { id, allowedIps } = peer;
  const hint = peer.hint && hintWords(peer.hint);
  if (allowedIps === 'any') return { id, hint, prefixes: undefined };
  const prefixes: number[] = [];
  const ipv6Prefixes: number[] = [];
  for (const { ip, length } of allowedIps) {
    if (familyOf(ip) === 'ipv4') prefixes.push(ipv4ToNumber(ip), length);
    else ipv6Prefixes.push(...ipv6Words(ip), length);
  }
  return { id, hint, prefixes, ipv6Prefixes: ipv6Prefixes.length > 0 ? ipv6Prefixes : undefined };
}

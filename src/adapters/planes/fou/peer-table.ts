import { pathKey, type Path, type PathKey } from '../../../core/addr.ts';
import type { Admission } from '../../../core/nft/guard-peer.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import { requirePeer } from '../refusals.ts';
import { dataKey, type Peer } from './peer.ts';

/** The peers that the plane knows (at most MAX_PEERS), and who is admitted where. */
export class PeerTable {
  readonly #peers = new Map<PeerId, Peer>();
  /** By the path of their data. */
  readonly #admitted = new Map<PathKey, Peer>();

  get size(): number {
    return this.#peers.size;
  }

  get(id: PeerId): Peer | undefined {
    return this.#peers.get(id);
  }

  /** Throws for a peer that nobody configured. */
  require(id: PeerId): Peer {
    return requirePeer(this.#peers, id);
  }

  all(): readonly Peer[] {
    return [...this.#peers.values()];
  }

  admitted(): readonly (readonly [Peer, Admission])[] {
    return this.all().flatMap((peer) => (peer.admission ? [[peer, peer.admission] as const] : []));
  }

  add(peer: Peer): void {
    this.#peers.set(peer.id, peer);
  }

  delete(id: PeerId): void {
    const peer = this.#peers.get(id);
    if (peer) this.setAdmission(peer, undefined);
    this.#peers.delete(id);
  }

  setAdmission(peer: Peer, admission: Admission | undefined): void {
    if (peer.admission) this.#admitted.delete(dataKey(peer.admission));
    peer.admission = admission;
    if (admission) this.#admitted.set(dataKey(admission), peer);
  }

  /** Whether data on this path, as it is when the alternative address is in it, is an admitted peer's. */
  carries(path: Path): boolean {
    return this.#admitted.has(pathKey(path));
  }

  /** The peer whose path it is, the local address being an alternative one. */
  byAlt(path: Path): Peer | undefined {
    const peer = this.#admitted.get(pathKey(path));
    return peer?.admission?.alt === path.local.ip ? peer : undefined;
  }

  /** The peer that is admitted on exactly this path, in public addresses. */
  at(path: Path): Peer | undefined {
    return this.admitted().find(([, admission]) => {
      const { local, remote } = admission.path;
      return (
        local.ip === path.local.ip &&
        remote.ip === path.remote.ip &&
        remote.port === path.remote.port
      );
    })?.[0];
  }

  byDevice(index: IfIndex): Peer | undefined {
    return this.all().find(({ device }) => device.index === index);
  }
}

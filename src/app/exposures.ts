import type { PeerConfig, PeerId } from '../core/config/tunnel-config.ts';
import type { ExposingPeer } from '../core/reach/services.ts';
import { sameValue } from '../core/same-value.ts';
import type { PeerStatus } from '../ports/control.ts';
import type { Reach } from '../ports/reach.ts';
import type { Tell } from '../ports/tell.ts';
import { explain } from './explain.ts';

/**
 * What a tunnel's peers expose. A change of peers changes it first, so that one that is refused has changed
 * nothing; where it fails half way, or the peers themselves cannot be changed, it is taken back.
 */
export class Exposures {
  readonly #reach: Reach;
  readonly #tell: Tell;
  /** Those that expose anything. */
  #peers: ReadonlyMap<PeerId, ExposingPeer> = new Map();

  constructor(reach: Reach, tell: Tell) {
    this.#reach = reach;
    this.#tell = tell;
  }

  /** Also takes away what an earlier run has exposed and this one does not. */
  async begin(peers: readonly PeerConfig[]): Promise<void> {
    await this.#apply(exposing(peers));
  }

  replace<T>(peers: readonly PeerConfig[], work: () => Promise<T>): Promise<T> {
    return this.#change(exposing(peers), work);
  }

  set<T>(peer: PeerConfig, work: () => Promise<T>): Promise<T> {
    const next = new Map(this.#peers);
    if (exposesAny(peer)) next.set(peer.id, exposingOf(peer));
    else next.delete(peer.id);
    return this.#change(next, work);
  }

  remove<T>(id: PeerId, work: () => Promise<T>): Promise<T> {
    const next = new Map(this.#peers);
    next.delete(id);
    return this.#change(next, work);
  }

  /** Statuses of peers, with what they expose. */
  tellOf(statuses: readonly PeerStatus[]): readonly PeerStatus[] {
    if (!statuses.some(({ id }) => this.#peers.has(id))) return statuses;
    const counts = this.#reach.counts();
    return statuses.map((status) => {
      if (!this.#peers.has(status.id)) return status;
      const exposed = counts.filter(({ peer }) => peer === status.id);
      return { ...status, exposed };
    });
  }

  async #change<T>(next: ReadonlyMap<PeerId, ExposingPeer>, work: () => Promise<T>): Promise<T> {
    const before = this.#peers;
    if (sameValue([...before.values()], [...next.values()])) return work();
    try {
      await this.#apply(next);
      return await work();
    } catch (error) {
      await this.#apply(before).catch((left: unknown) =>
        this.#tell({ kind: 'not-undone', ...explain(left) }),
      );
      throw error;
    }
  }

  async #apply(next: ReadonlyMap<PeerId, ExposingPeer>): Promise<void> {
    await this.#reach.expose([...next.values()]);
    this.#peers = next;
  }
}

function exposing(peers: readonly PeerConfig[]): ReadonlyMap<PeerId, ExposingPeer> {
  const found = peers.filter(exposesAny);
  return new Map(found.map((peer) => [peer.id, exposingOf(peer)]));
}

function exposesAny({ exposed, publicIps }: PeerConfig): boolean {
  return exposed !== undefined || publicIps !== undefined;
}

function exposingOf({ id, innerIps, exposed, publicIps }: PeerConfig): ExposingPeer {
  return { id, innerIps, exposed, publicIps };
}

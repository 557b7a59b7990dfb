import type { PeerConfig, PeerId } from '../core/config/tunnel-config.ts';
import type { PeerStatus } from '../ports/control.ts';
import type { KillSwitchGuard, Reach } from '../ports/reach.ts';
import type { Tell } from '../ports/tell.ts';
import { explain } from './explain.ts';
import { Exposures } from './exposures.ts';

/** All that a tunnel has around it and that depends on its peers. */
export type Around = {
  readonly reach: Reach;
  readonly killSwitch: KillSwitchGuard | undefined;
  readonly tell: Tell;
  /** The tunnel's peers of now. */
  readonly peers: () => readonly PeerConfig[];
};

/**
 * What is around a tunnel follows its peers: who may be sent to, and what is exposed, before they change, so that it is put
 * back where they cannot; what is led to them after that.
 */
export class Surroundings {
  readonly #around: Around;
  readonly #exposures: Exposures;

  constructor(around: Around) {
    this.#around = around;
    this.#exposures = new Exposures(around.reach, around.tell);
  }

  /** Also takes away what an earlier run has exposed and this one does not. */
  async begin(peers: readonly PeerConfig[]): Promise<void> {
    await this.#exposures.begin(peers);
    await this.#around.reach.lead(peers);
  }

  replace<T>(peers: readonly PeerConfig[], work: () => Promise<T>): Promise<T> {
    return this.#lettingOut(peers, () =>
      this.#exposures.replace(peers, this.#leading(peers, work)),
    );
  }

  set<T>(peer: PeerConfig, work: () => Promise<T>): Promise<T> {
    return this.#lettingOut([peer], () => this.#exposures.set(peer, this.#leading([peer], work)));
  }

  remove<T>(id: PeerId, work: () => Promise<T>): Promise<T> {
    return this.#exposures.remove(id, work);
  }

  /** Statuses of peers, with what they expose. */
  tellOf(statuses: readonly PeerStatus[]): readonly PeerStatus[] {
    return this.#exposures.tellOf(statuses);
  }

  /** What `show` says of it. */
  facts(): readonly string[] {
    const { reach, killSwitch } = this.#around;
    return [...reach.facts(), ...(killSwitch?.facts() ?? [])];
  }

  #leading<T>(peers: readonly PeerConfig[], work: () => Promise<T>): () => Promise<T> {
    return async () => {
      const done = await work();
      await this.#around.reach.lead(peers);
      return done;
    };
  }

  async #lettingOut<T>(peers: readonly PeerConfig[], work: () => Promise<T>): Promise<T> {
    const { killSwitch, tell } = this.#around;
    if (killSwitch === undefined) return work();
    const before = this.#around.peers();
    killSwitch.allow(peers);
    try {
      return await work();
    } catch (error) {
      try {
        killSwitch.allow(before);
      } catch (left) {
        tell({ kind: 'not-undone', ...explain(left) });
      }
      throw error;
    }
  }
}

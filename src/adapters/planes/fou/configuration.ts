import type { Prefix } from '../../../core/addr.ts';
import { DEFAULT_PEER } from '../../../core/config/tunnel-config.ts';
import type { GuardPeer } from '../../../core/nft/guard-peer.ts';
import type { PeerId, PlanePeer } from '../../../ports/data-plane.ts';
import type { Admissions } from './admissions.ts';
import type { Adoption } from './adoption.ts';
import { freeDeviceName } from './device-names.ts';
import type { PlaneParts } from './parts.ts';
import { Peer } from './peer.ts';
import { isTunnelOfPort } from './kinds.ts';

/**
 * Which peers the plane knows, and what of the kernel hangs on that alone: their inner sources in the
 * guard, their routes of the last resort, and the names of their devices, which are remembered in
 * the journal so that a peer's device is called the same after a restart.
 */
export class Configuration {
  readonly #parts: PlaneParts;
  readonly #admissions: Admissions;

  constructor(parts: PlaneParts, admissions: Admissions) {
    this.#parts = parts;
    this.#admissions = admissions;
  }

  /** The peers of the start; those that go on from an earlier run are admitted. Changes no rules. */
  async begin(known: readonly PlanePeer[], { kept, remembered }: Adoption): Promise<void> {
    const { peers, record } = this.#parts;
    const names = new Map(remembered.map(({ id, device }) => [id, device]));
    for (const peer of await this.#newPeers(known, names)) peers.add(peer);
    for (const { id, path, alt } of kept) peers.setAdmission(peers.require(id), { path, alt });
    record.setPeers(peers.all().map((peer) => peer.record(peer.admission)));
  }

  /** Prefixes that lead nowhere while nobody is admitted. */
  claimed(): readonly Prefix[] {
    return this.#parts.peers.all().flatMap((peer) => peer.claimed);
  }

  /** Makes peers known, or what is known of them this. When it rejects, nothing has changed. */
  async change(known: readonly PlanePeer[]): Promise<void> {
    const { peers, record } = this.#parts;
    const newcomers = known.filter(({ id }) => peers.get(id) === undefined);
    const added = await this.#newPeers(newcomers, new Map());
    const before = new Map<Peer, PlanePeer>();
    for (const now of known) {
      const peer = peers.get(now.id);
      if (peer) before.set(peer, peer.known);
      if (peer) peer.known = now;
    }
    for (const peer of added) peers.add(peer);
    try {
      await this.#apply([...before.keys(), ...added], []);
      record.setPeers(added.map((peer) => peer.record(undefined)));
    } catch (error) {
      for (const [peer, earlier] of before) peer.known = earlier;
      for (const { id } of added) peers.delete(id);
      const gone = added.map(({ id }) => id);
      await this.#apply([...before.keys()], gone).catch((failure: unknown) => {
        this.#parts.context.log('error', 'putting the peers back failed', {
          error: String(failure),
        });
      });
      throw error;
    }
  }

  /** Forgets peers, none of which is admitted. */
  async forget(ids: readonly PeerId[]): Promise<void> {
    const { peers, record } = this.#parts;
    for (const id of ids) peers.delete(id);
    await this.#apply([], ids);
    record.removePeers(ids);
  }

  async #apply(changed: readonly Peer[], gone: readonly PeerId[]): Promise<void> {
    const { guard, unreachable } = this.#parts;
    const guarded = new Map<PeerId, GuardPeer | undefined>();
    for (const id of gone) guarded.set(id, undefined);
    for (const peer of changed) guarded.set(peer.id, peer.guarded());
    guard.change(guarded);
    await unreachable.set(this.claimed());
    await this.#admissions.reroute(changed);
    for (const peer of changed) {
      // The other end of its device's address may be another.
      if (peer.id !== DEFAULT_PEER || !peer.admission) continue;
      await peer.device.point(peer.pointing(peer.admission));
    }
  }

  /** The default peer has the tunnel's device; the others the names they had, or free ones. */
  async #newPeers(
    known: readonly PlanePeer[],
    remembered: ReadonlyMap<PeerId, string>,
  ): Promise<readonly Peer[]> {
    if (known.length === 0) return [];
    const { context, environment, peers } = this.#parts;
    const { config } = context;
    const taken = new Set(peers.all().map(({ device }) => device.name));
    for (const name of remembered.values()) taken.add(name);
    for (const link of await environment.route.links()) {
      if (!isTunnelOfPort(link, config.outer.localPort)) taken.add(link.name);
    }
    return known.map((peer) => {
      const name =
        peer.id === DEFAULT_PEER
          ? config.inner.device
          : (remembered.get(peer.id) ??
            freeDeviceName(config.inner.device, (candidate) => taken.has(candidate)));
      taken.add(name);
      return new Peer(peer, name, environment);
    });
  }
}

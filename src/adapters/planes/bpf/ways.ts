import { familyOf, type Family, type OuterIp, type Path } from '../../../core/addr.ts';
import { capturesOuter } from '../../../core/captures-outer.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { TAG_LENGTH } from '../../../core/tag/layout.ts';
import { insideTags, overheadOf } from '../../../core/wire/overhead.ts';
import type { Log } from '../../../ports/log.ts';
import type { PeerId, TakenPrefix } from '../../../ports/data-plane.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
import { configuredRemote, deviceMtuOf, ETHERNET_MTU, MIN_INNER_MTU } from '../inner-mtu.ts';
import { PeerRoutes, type PeerRouting } from '../peer-routes.ts';
import { outerOf, retryRoutes, routedPrefixes, warnOfRoutes } from '../peer-routing.ts';
import { slices } from '../slices.ts';
import { lastResort } from '../unreachable-routes.ts';
import type { Installation } from './installation.ts';
import { LOOKUPS_AT_ONCE, PEERS_AT_ONCE } from './limits.ts';
import { OuterRoutes } from './outer-routes.ts';
import type { Way } from './peer-maps.ts';
import type { Peer } from './peer-table.ts';
import type { Ends } from './tunnel-pair.ts';

export type WaysParts = {
  readonly config: TunnelConfig;
  readonly log: Log;
  readonly route: RouteNetlink;
  readonly installation: Installation;
  /** Families that the tunnel has a port in. */
  readonly outside: readonly Family[];
  /** Runs work when no other change is being made. */
  readonly serial: (work: () => Promise<void>) => Promise<void>;
  /** Whether the plane is being closed. */
  readonly closed: () => boolean;
};

/**
 * Ways to peers, outside and inside: by which device a peer's outer packets leave, how large its inner
 * packets may be, and the routes that lead to it. The device's MTU is that of the widest way; peers with
 * a narrower one have it on their routes and in their slots.
 */
export class Ways {
  readonly #parts: WaysParts;
  readonly #outerRoutes: OuterRoutes;
  readonly #peerRoutes: PeerRoutes;
  #following: Promise<void> | undefined;
  #followAgain = false;
  /** What outer headers add at the most, of the ways that were asked for. */
  #overhead: number;
  #dressedFor = 0;

  constructor(parts: WaysParts) {
    this.#parts = parts;
    this.#outerRoutes = new OuterRoutes(parts.route, parts.config);
    this.#peerRoutes = new PeerRoutes(parts.route, lastResort(parts.route, parts.config));
    this.#overhead = Math.min(...parts.outside.map(overheadOf));
  }

  /** How packets to a peer leave that is, or is to be, at the end of `path`; `tagged`: with tags. */
  async to(peer: Peer, { remote }: Path, tagged = peer.tags !== undefined): Promise<Way> {
    const { mtu } = this.#parts.config.inner;
    const way = await this.#outerRoutes.to(remote.ip);
    const family = familyOf(remote.ip);
    const overhead = overheadOf(family);
    this.#overhead = Math.max(this.#overhead, overhead + (tagged ? TAG_LENGTH : 0));
    const untagged = way.innerMtu ?? ETHERNET_MTU - overhead;
    const fits = tagged ? insideTags(untagged) : untagged;
    // What is configured is for whatever the peer is reached by, and more headers leave less room.
    const configured =
      (tagged || family === 'ipv6') && typeof mtu === 'number' ? Math.min(mtu, fits) : mtu;
    const path = typeof configured === 'number' ? configured : fits;
    return { device: way.device, innerMtu: Math.min(path, peer.limit ?? path) };
  }

  /** Looks at the ways to some peers again. */
  async lead(peers: readonly Peer[]): Promise<void> {
    const { maps } = this.#parts.installation;
    await Promise.all(
      peers.map(async (peer) => {
        const { path } = peer;
        if (!path) return;
        const way = await this.to(peer, path);
        if (peer.path === path) maps.lead(peer, way);
      }),
    );
    await this.settle(peers);
  }

  /** Brings device and routes into line with the ways of these peers. */
  async settle(peers: readonly Peer[]): Promise<void> {
    const { maps } = this.#parts.installation;
    if (maps.peers.size === 1 || this.#dressedFor < this.#overhead) await this.dressDevice();
    const device = this.#parts.installation.ends.near.mtu;
    const changed = peers.filter((peer) => {
      const mtu = maps.wayOf(peer)?.innerMtu ?? peer.limit;
      const routeMtu = mtu !== undefined && mtu < device ? mtu : undefined;
      const differs = routeMtu !== peer.routeMtu;
      peer.routeMtu = routeMtu;
      return differs;
    });
    await this.makeRoutes(changed);
  }

  /** Looks at the way to every peer again, a slice at a time; others have their turn between. */
  async follow(): Promise<void> {
    if (this.#following) {
      this.#followAgain = true;
      return this.#following;
    }
    this.#following = this.#walk().finally(() => {
      this.#following = undefined;
      if (!this.#followAgain || this.#parts.closed()) return;
      this.#followAgain = false;
      void this.follow();
    });
    return this.#following;
  }

  async #walk(): Promise<void> {
    const { installation, serial, closed, log } = this.#parts;
    for (const slice of slices(installation.maps.peers.admitted(), LOOKUPS_AT_ONCE)) {
      if (closed()) return;
      await serial(() => this.lead(slice)).catch((error: unknown) => {
        log('warn', 'an outer route could not be followed', { error: String(error) });
      });
    }
  }

  /** A link is not what it was. */
  forgetLinks(): void {
    this.#outerRoutes.forget();
  }

  /** The MTU of the device; never less than IPv6 asks for where that is carried: a device has none below. */
  async deviceMtu(): Promise<number> {
    return deviceMtuOf(await this.#widest(), this.#parts.config);
  }

  /** The configured MTU, else that of the way to a sole peer, else what the widest outer device takes. */
  async #widest(): Promise<number> {
    const { config, route, installation, outside } = this.#parts;
    if (typeof config.inner.mtu === 'number') return config.inner.mtu;
    const { peers } = installation.maps;
    const [sole] = peers.size === 1 ? peers.all() : [];
    const remote = sole?.path?.remote.ip ?? configuredRemote(config);
    const way = peers.size === 1 && remote ? await this.#outerRoutes.to(remote) : undefined;
    if (way?.innerMtu !== undefined) {
      return sole?.tags ? insideTags(way.innerMtu) : way.innerMtu;
    }
    const mtus = await Promise.all(
      installation.outer.map(async ({ index }) => (await route.linkByIndex(index))?.mtu),
    );
    const largest = Math.max(0, ...mtus.map((mtu) => mtu ?? 0)) || ETHERNET_MTU;
    const overheads = remote ? [overheadOf(familyOf(remote))] : outside.map(overheadOf);
    return Math.max(MIN_INNER_MTU, largest - Math.min(...overheads));
  }

  /** Gives the device its MTU, and whatever else it lacks. */
  async dressDevice(): Promise<void> {
    const overhead = this.#overhead;
    await this.#parts.installation.dress({ mtu: await this.deviceMtu(), overhead });
    this.#dressedFor = overhead;
  }

  /** Learns which routes an earlier run has made. */
  async recallRoutes(): Promise<void> {
    await this.#peerRoutes.recall(this.#parts.installation.ends.near.index);
  }

  /** Before a peer is pointed elsewhere: no route to it may take its outer packets into the tunnel then. */
  async clear(peer: Peer, { remote }: Path): Promise<void> {
    const before = outerOf(peer);
    if (before === remote.ip) return;
    const concerned = routedPrefixes(peer, this.#parts.config).some(
      (prefix) => capturesOuter(prefix, before) !== capturesOuter(prefix, remote.ip),
    );
    if (concerned) await this.makeRoutes([peer], remote.ip);
  }

  /** `outer`: where their outer packets are to go, if elsewhere than now. */
  async makeRoutes(peers: Iterable<Peer>, outer?: OuterIp): Promise<void> {
    const device = this.#parts.installation.ends.near.index;
    for (const slice of slices(peers, PEERS_AT_ONCE)) {
      const routings = new Map<PeerId, PeerRouting>();
      for (const peer of slice) {
        routings.set(peer.id, {
          device,
          prefixes: routedPrefixes(peer, this.#parts.config),
          mtu: peer.routeMtu,
          outer: outer ?? outerOf(peer),
        });
      }
      warnOfRoutes(this.#parts.log, await this.#peerRoutes.set(routings));
    }
  }

  /** What other routes of the host have: of one peer, or of all. */
  taken(peer?: PeerId): readonly TakenPrefix[] {
    return peer === undefined ? this.#peerRoutes.taken : this.#peerRoutes.takenOf(peer);
  }

  /** Makes routes that another was in the way of. */
  async retryRoutes(): Promise<void> {
    await retryRoutes(this.#parts.log, this.#peerRoutes);
  }

  async removeRoutes(peers: readonly PeerId[]): Promise<void> {
    warnOfRoutes(this.#parts.log, await this.#peerRoutes.remove(peers));
  }

  /** Takes away the routes that would stay when the device is gone. */
  async close(): Promise<void> {
    await this.#peerRoutes.close();
  }

  /** Makes what is missing and removes what nobody asks for; how many routes were not as they should be. */
  async mendRoutes(): Promise<number> {
    const { near } = this.#parts.installation.ends;
    const { mended, failures } = await this.#peerRoutes.reconcile(near.index);
    warnOfRoutes(this.#parts.log, failures);
    return mended;
  }

  /** The device is gone, and its routes with it. */
  forgetDevice({ near }: Ends): void {
    this.#peerRoutes.forgetDevice(near.index);
  }
}

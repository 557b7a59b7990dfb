import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
import {
  allowedMtu,
  configuredRemote,
  deviceMtuOf,
  ETHERNET_MTU,
  innerMtu,
  innerMtuOf,
  MIN_INNER_MTU,
  outerMtu,
  sendsFragments,
} from '../inner-mtu.ts';
import type { KnownPeer } from './known-peers.ts';

/**
 * How large inner packets may be: the device has the MTU of the widest path to an admitted peer, so
 * that one peer alone has the MTU of its own path; those with less have it on their routes.
 */
export class PathMtus {
  readonly #route: RouteNetlink;
  readonly #config: TunnelConfig;
  /** MTU while nobody is admitted. */
  #base: number | undefined;
  /** How many admitted peers have each MTU; there are few different ones. */
  readonly #counts = new Map<number, number>();

  constructor(route: RouteNetlink, config: TunnelConfig) {
    this.#route = route;
    this.#config = config;
  }

  /**
   * Learns the MTU while nobody is admitted. Call it before there is a device: a route to a peer may
   * lead into the tunnel afterwards.
   */
  async learnBase(): Promise<void> {
    this.#base = await this.#withoutPeer();
  }

  /** The MTU that the device should have now. */
  get device(): number {
    const { mtu } = this.#config.inner;
    if (typeof mtu === 'number') return mtu;
    const widest = this.#counts.size > 0 ? Math.max(...this.#counts.keys()) : this.#baseMtu;
    return deviceMtuOf(widest, this.#config);
  }

  /** The MTU that the routes to a peer should have; undefined = the device's. */
  ofRoutes(peer: KnownPeer): number | undefined {
    return peer.mtu !== undefined && peer.mtu < this.device ? peer.mtu : undefined;
  }

  /** Looks anew what the path to a peer takes; forgets it when the peer is not admitted. */
  async look(peer: KnownPeer): Promise<void> {
    const { path, limit, tagged } = peer;
    if (!path) {
      this.forget(peer);
      return;
    }
    const way = await allowedMtu(this.#route, path.remote.ip, this.#config, tagged);
    const whole = sendsFragments(path.remote.ip, this.#config) ? undefined : limit;
    this.#set(peer, Math.min(way, whole ?? way));
  }

  forget(peer: KnownPeer): void {
    this.#set(peer, undefined);
  }

  #set(peer: KnownPeer, mtu: number | undefined): void {
    if (peer.mtu !== undefined) this.#count(peer.mtu, -1);
    peer.mtu = mtu;
    if (mtu !== undefined) this.#count(mtu, 1);
  }

  #count(mtu: number, change: number): void {
    const count = (this.#counts.get(mtu) ?? 0) + change;
    if (count > 0) this.#counts.set(mtu, count);
    else this.#counts.delete(mtu);
  }

  get #baseMtu(): number {
    return this.#base ?? MIN_INNER_MTU;
  }

  /** For a peer of whom nothing is known: the outer device's, or that of the route to an address of the tunnel. */
  async #withoutPeer(): Promise<number> {
    const config = this.#config;
    const remote = configuredRemote(config);
    if (remote !== undefined) return innerMtu(this.#route, remote, config);
    const { device } = config.outer;
    const outer = device === undefined ? undefined : await this.#route.linkByName(device);
    if (outer) return innerMtuOf(outer.mtu, config);
    const [own] = config.inner.ips;
    return innerMtuOf(own ? await outerMtu(this.#route, own, config) : ETHERNET_MTU, config);
  }
}

import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { PeerId, TakenPrefix } from '../../../ports/data-plane.ts';
import type { Log } from '../../../ports/log.ts';
import { close } from '../../ffi/libc.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
import { PeerRoutes, type PeerRouting } from '../peer-routes.ts';
import { outerOf, retryRoutes, routedPrefixes, warnOfRoutes } from '../peer-routing.ts';
import { slices } from '../slices.ts';
import { lastResort } from '../unreachable-routes.ts';
import { TunDevice } from './device.ts';
import type { KnownPeer, KnownPeers } from './known-peers.ts';
import { PEERS_PER_SLICE } from './limits.ts';
import { PathMtus } from './path-mtus.ts';

/**
 * The device of a tunnel with all that hangs on it: address, MTU, and the routes to peers. What it is
 * given is remembered, so that a device that something outside has changed or removed is put back.
 * Calls must be made one at a time.
 */
export class DeviceRouting {
  readonly #device: TunDevice;
  readonly #routes: PeerRoutes;
  readonly #mtus: PathMtus;
  readonly #peers: KnownPeers;
  readonly #config: TunnelConfig;
  readonly #log: Log;
  readonly #resized: (mtu: number) => void;
  /** The MTU that the device was given last. */
  #mtu: number | undefined;
  #lost = false;

  /** `peers` is read only. `vnetHeader`: see createTunDevice. `resized` is told the device's MTU when it changes. */
  constructor(
    route: RouteNetlink,
    config: TunnelConfig,
    peers: KnownPeers,
    options: {
      readonly vnetHeader: boolean;
      readonly log: Log;
      readonly resized: (mtu: number) => void;
    },
  ) {
    this.#device = new TunDevice(route, config, options.vnetHeader);
    this.#routes = new PeerRoutes(route, lastResort(route, config));
    this.#mtus = new PathMtus(route, config);
    this.#peers = peers;
    this.#config = config;
    this.#log = options.log;
    this.#resized = options.resized;
  }

  /** Whether the device was to be made anew and could not be. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Kernel index while there is a device. */
  get index(): IfIndex | undefined {
    return this.#device.index;
  }

  /** Makes the device; the descriptor of its packets, which `remove` closes. It is not dressed yet. */
  async create(): Promise<number> {
    await this.#mtus.learnBase();
    return this.#device.create();
  }

  remove(): void {
    this.#device.remove();
  }

  /** MTU of the device as it is; as it should be where there is none. */
  async mtu(): Promise<number> {
    return (await this.#device.mtu()) ?? this.#mtus.device;
  }

  /** Largest inner packet to a peer. */
  mtuOf(peer: KnownPeer | undefined): number {
    return peer?.mtu ?? this.#mtus.device;
  }

  /** Gives the device its MTU, address and state. */
  async dress(): Promise<void> {
    const mtu = this.#mtus.device;
    await this.#device.dress(mtu);
    if (this.#mtu !== mtu) this.#resized(mtu);
    this.#mtu = mtu;
  }

  /** Looks at the paths to these peers, and gives the device and their routes the MTU that is due. */
  async lookAt(peers: readonly KnownPeer[]): Promise<void> {
    for (const peer of peers) await this.#mtus.look(peer);
    const before = this.#mtu;
    await this.dress();
    const everybody = before !== this.#mtu;
    await this.route(everybody ? [...this.#peers.admitted()] : peers);
  }

  /** A peer is admitted no more: its path has no say in the device's MTU from the next look on. */
  forgetPath(peer: KnownPeer): void {
    this.#mtus.forget(peer);
  }

  /** Makes the routes of these peers what is known of them. */
  async route(peers: readonly KnownPeer[]): Promise<void> {
    for (const slice of slices(peers, PEERS_PER_SLICE)) await this.#routeSlice(slice);
  }

  async #routeSlice(peers: readonly KnownPeer[]): Promise<void> {
    const { index: device } = this.#device;
    if (device === undefined) return;
    const routings = peers.map((peer): readonly [PeerId, PeerRouting] => [
      peer.id,
      {
        device,
        prefixes: routedPrefixes(peer, this.#config),
        mtu: this.#mtus.ofRoutes(peer),
        outer: outerOf(peer),
      },
    ]);
    warnOfRoutes(this.#log, await this.#routes.set(new Map(routings)));
  }

  /** Of one peer, or of all. */
  taken(peer?: PeerId): readonly TakenPrefix[] {
    return peer === undefined ? this.#routes.taken : this.#routes.takenOf(peer);
  }

  /** Makes routes that another was in the way of. */
  async retry(): Promise<void> {
    await retryRoutes(this.#log, this.#routes);
  }

  async unroute(peers: readonly PeerId[]): Promise<void> {
    warnOfRoutes(this.#log, await this.#routes.remove(peers));
  }

  /** Takes away the routes that would stay when the device is gone. */
  async close(): Promise<void> {
    await this.#routes.close();
  }

  /**
   * Puts the device back as it should be; false when it was. A new one's descriptor is given to `use`
   * before the old one's is closed.
   */
  async restore(use: (tunFd: number) => Promise<unknown>): Promise<boolean> {
    const state = await this.#device.whole();
    if (state === 'whole') return false;
    if (state === 'gone') await this.#replace(use);
    await this.dress();
    const { index } = this.#device;
    if (state === 'gone') await this.route([...this.#peers.all()]);
    else if (index !== undefined)
      warnOfRoutes(this.#log, (await this.#routes.reconcile(index)).failures);
    return true;
  }

  async #replace(use: (tunFd: number) => Promise<unknown>): Promise<void> {
    const { fd: oldFd, index: oldIndex } = this.#device;
    this.#lost = true;
    const tunFd = await this.#device.create();
    try {
      await use(tunFd);
      this.#lost = false;
    } finally {
      if (oldFd !== undefined) close(oldFd);
      if (oldIndex !== undefined) this.#routes.forgetDevice(oldIndex);
    }
  }
}

import { familyOf, type OuterIp } from '../../../core/addr.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { ifIndex, type IfIndex } from '../../../core/units.ts';
import { overheadOf } from '../../../core/wire/overhead.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
import { MIN_INNER_MTU } from '../inner-mtu.ts';

/** How packets leave for a remote address. */
export type OuterRoute = {
  /** 0 where the kernel has no way there: packets are dropped until it has. */
  readonly device: IfIndex;
  /** Largest inner packet that the way takes; undefined where there is none. */
  readonly innerMtu: number | undefined;
};

const NO_WAY: OuterRoute = { device: ifIndex(0), innerMtu: undefined };

/** Looks up outer routes. The gateway is not asked for: the kernel finds it for every packet. */
export class OuterRoutes {
  readonly #route: RouteNetlink;
  readonly #config: TunnelConfig;
  /** MTUs of devices that routes led to; forgotten when a link changes. */
  readonly #deviceMtu = new Map<IfIndex, number>();

  constructor(route: RouteNetlink, config: TunnelConfig) {
    this.#route = route;
    this.#config = config;
  }

  /** A link has changed or gone. */
  forget(): void {
    this.#deviceMtu.clear();
  }

  async to(remote: OuterIp): Promise<OuterRoute> {
    const { device } = this.#config.outer;
    const oif = device === undefined ? undefined : (await this.#route.linkByName(device))?.index;
    if (device !== undefined && oif === undefined) return NO_WAY;
    const way = await this.#route.routeTo(remote, { oif });
    if (!way) return NO_WAY;
    // What a router has said of the path is the session's to heed, which may limit the peer.
    const own = way.mtu === undefined ? undefined : await this.#route.ownMtu(remote, { oif });
    const mtu = own ?? (await this.#mtuOf(way.oif));
    return {
      device: way.oif,
      innerMtu: Math.max(MIN_INNER_MTU, mtu - overheadOf(familyOf(remote))),
    };
  }

  async #mtuOf(index: IfIndex): Promise<number> {
    const known = this.#deviceMtu.get(index);
    if (known !== undefined) return known;
    const mtu = (await this.#route.linkByIndex(index))?.mtu ?? 0;
    this.#deviceMtu.set(index, mtu);
    return mtu;
  }
}

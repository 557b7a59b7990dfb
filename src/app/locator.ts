import { familyOf, ofFamily, type OuterIp } from '../core/addr.ts';
import { outerFamilies } from '../core/config/families.ts';
import type { TunnelConfig } from '../core/config/tunnel-config.ts';
import type { NoRoute } from '../core/events/trouble.ts';
import type { HostNetwork } from '../ports/host-network.ts';

/** Linux routes what is for one of this host's own addresses through the loopback device. */
const LOOPBACK = 'lo';

/** Whether an address is one of this host. */
export async function isOwnAddress(
  host: Pick<HostNetwork, 'routeTo'>,
  address: OuterIp,
): Promise<boolean> {
  return (await host.routeTo(address, undefined))?.device === LOOPBACK;
}

/** Where a client's packets leave from. */
export type Route = {
  readonly kind: 'way';
  readonly local: OuterIp;
  /** Whether the kernel has a route there; else there is only an address to send from. */
  readonly routed: boolean;
  /** Largest packet that the route takes by itself (outer bytes), where there is one. */
  readonly mtu: number | undefined;
};

/**
 * How a client finds the local address of its path: the configured one, else the source that the
 * kernel would take towards the remote (out of `fou-dev` if given).
 */
export function createLocator(
  config: TunnelConfig,
  host: Pick<HostNetwork, 'firstAddress' | 'routeTo'>,
): (remote: OuterIp) => Promise<Route | NoRoute> {
  const { localIps, device } = config.outer;
  const families = outerFamilies(config.outer);
  return async (remote) => {
    const family = familyOf(remote);
    if (!families.includes(family)) return { kind: 'not-wanted', family };
    const localIp = ofFamily(localIps, family);
    const route = await host.routeTo(remote, device);
    const mtu = route?.mtu;
    const routed = route !== undefined;
    if (localIp !== undefined) return { kind: 'way', local: localIp, routed, mtu };
    if (route === undefined) {
      // Without a route of IPv6 the kernel sends nothing of it, whatever the device.
      if (device === undefined || family === 'ipv6') return { kind: 'missing', device };
      const local = await host.firstAddress(device);
      return local ? { kind: 'way', local, routed, mtu } : { kind: 'no-address', device };
    }
    if (route.device !== config.inner.device)
      return { kind: 'way', local: route.source, routed, mtu };
    // Encapsulated packets would go into the tunnel again, without end.
    return { kind: 'loop', device: route.device };
  };
}

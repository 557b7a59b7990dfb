import { familyOf, ofFamily, type OuterIp } from '../core/addr.ts';
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
export type Way = {
  readonly kind: 'way';
  readonly local: OuterIp;
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
): (remote: OuterIp) => Promise<Way | NoRoute> {
  const { localIps, device } = config.outer;
  return async (remote) => {
    const localIp = ofFamily(localIps, familyOf(remote));
    const route = await host.routeTo(remote, device);
    const mtu = route?.mtu;
    if (localIp !== undefined) return { kind: 'way', local: localIp, mtu };
    if (route === undefined) {
      if (device === undefined) return { kind: 'missing', device };
      const local = await host.firstAddress(device);
      return local ? { kind: 'way', local, mtu } : { kind: 'no-address', device };
    }
    if (route.device !== config.inner.device) return { kind: 'way', local: route.source, mtu };
    // Encapsulated packets would go into the tunnel again, without end.
    return { kind: 'loop', device: route.device };
  };
}

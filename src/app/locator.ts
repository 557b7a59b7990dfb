import type { OuterIp } from '../core/addr.ts';
import type { TunnelConfig } from '../core/config/tunnel-config.ts';
import type { HostNetwork } from '../ports/host-network.ts';
import type { Log } from '../ports/log.ts';

/** Where a client's packets leave from. */
export type Way = {
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
  log: Log,
): (remote: OuterIp) => Promise<Way | undefined> {
  const { localIp, device } = config.outer;
  return async (remote) => {
    const route = await host.routeTo(remote, device);
    const mtu = route?.mtu;
    if (localIp !== undefined) return { local: localIp, mtu };
    if (route === undefined) {
      const local = device === undefined ? undefined : await host.firstAddress(device);
      return local && { local, mtu };
    }
    if (route.device !== config.inner.device) return { local: route.source, mtu };
    // Encapsulated packets would go into the tunnel again, without end.
    log('warn', 'the route to the remote leads into the tunnel itself', {
      remote,
      device: route.device,
      hint: `ip route add ${remote}/32 via GATEWAY, or set fou-dev`,
    });
    return undefined;
  };
}

import type { Ipv4 } from '../core/addr.ts';
import type { TunnelConfig } from '../core/config/tunnel-config.ts';
import type { HostNetwork } from '../ports/host-network.ts';
import type { Log } from '../ports/log.ts';

/**
 * How a client finds the local address of its path: the configured one, else the source that the
 * kernel would take towards the remote (out of `fou-dev` if given).
 */
export function createLocator(
  config: TunnelConfig,
  host: Pick<HostNetwork, 'firstAddress' | 'routeTo'>,
  log: Log,
): (remote: Ipv4) => Promise<Ipv4 | undefined> {
  const { localIp, device } = config.outer;
  return async (remote) => {
    if (localIp !== undefined) return localIp;
    const route = await host.routeTo(remote, device);
    if (route === undefined) {
      return device === undefined ? undefined : host.firstAddress(device);
    }
    if (route.device !== config.inner.device) return route.source;
    // Encapsulated packets would go into the tunnel again, without end.
    log('warn', 'the route to the remote leads into the tunnel itself', {
      remote,
      device: route.device,
      hint: `ip route add ${remote}/32 via GATEWAY, or set fou-dev`,
    });
    return undefined;
  };
}

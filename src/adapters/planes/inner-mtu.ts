import { familyOf, parseOuterIp, type Ip, type OuterIp } from '../../core/addr.ts';
import { defaultPeer } from '../../core/config/peers.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { overheadOf } from '../../core/wire/overhead.ts';
import type { RouteNetlink } from '../netlink/route.ts';

/** Smallest MTU a tunnel device is given: what every IPv4 host takes whole (RFC 791, 576 bytes). */
export const MIN_INNER_MTU = 576;

/** Assumed where nothing is known of a way: Ethernet's. */
export const ETHERNET_MTU = 1500;

/** The address that the default peer's `fou-remote` spells; undefined for a name or nothing. */
export function configuredRemote(config: Pick<TunnelConfig, 'peers'>): OuterIp | undefined {
  return parseOuterIp(defaultPeer(config)?.remoteHost ?? '');
}

/** The MTU to give a tunnel device: the configured one, else what the route to the peer leaves. */
export async function deviceMtu(
  route: RouteNetlink,
  remote: Ip,
  config: TunnelConfig,
): Promise<number> {
  const { mtu } = config.inner;
  return typeof mtu === 'number' ? mtu : innerMtu(route, remote, config);
}

/** The MTU that the route to the peer leaves: that of the route to the peer (Ethernet's where there is none), less the overhead. */
export async function innerMtu(
  route: RouteNetlink,
  remote: Ip,
  config: TunnelConfig,
): Promise<number> {
  const outer = config.outer.device;
  const oif = outer === undefined ? undefined : (await route.linkByName(outer))?.index;
  const way = await route.routeTo(remote, oif === undefined ? {} : { oif });
  const device = way && (await route.linkByIndex(way.oif));
  const mtu = way?.mtu ?? device?.mtu ?? ETHERNET_MTU;
  return Math.max(MIN_INNER_MTU, mtu - overheadOf(familyOf(remote)));
}

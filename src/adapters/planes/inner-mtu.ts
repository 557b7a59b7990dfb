import { familyOf, parseOuterIp, type Ip, type OuterIp } from '../../core/addr.ts';
import { carries, outerFamilies } from '../../core/config/families.ts';
import { defaultPeer } from '../../core/config/peers.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { MAX_TAGGED_LENGTH } from '../../core/tag/layout.ts';
import { IPV6_MIN_MTU } from '../../core/wire/ipv6.ts';
import { insideTags, overheadOf } from '../../core/wire/overhead.ts';
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
  return typeof mtu === 'number' ? mtu : deviceMtuOf(await innerMtu(route, remote, config), config);
}

/**
 * The MTU of a device whose widest way takes inner packets of `widest` bytes. The kernel takes all IPv6 off a device
 * that has less than 1280: where a way takes less, its routes have it, and no IPv6 (peer-routes.ts).
 */
export function deviceMtuOf(widest: number, { inner }: Pick<TunnelConfig, 'inner'>): number {
  return carries(inner, 'ipv6') ? Math.max(IPV6_MIN_MTU, widest) : widest;
}

/** The MTU that the route to the peer leaves: that of the route to the peer (Ethernet's where there is none), less the overhead. */
export async function innerMtu(
  route: RouteNetlink,
  remote: Ip,
  config: TunnelConfig,
): Promise<number> {
  return leaves(await outerMtu(route, remote, config), overheadOf(familyOf(remote)));
}

/**
 * The largest inner packets for a peer: what is configured, else what the route to it leaves. A number is for whatever
 * the peer is reached by, and the longer header of IPv6 leaves less room, as tags do.
 */
export async function allowedMtu(
  route: RouteNetlink,
  remote: OuterIp,
  config: TunnelConfig,
  tagged = false,
): Promise<number> {
  const { mtu } = config.inner;
  if (typeof mtu === 'number' && sendsFragments(remote, config)) {
    return tagged ? Math.min(mtu, MAX_TAGGED_LENGTH) : mtu;
  }
  if (typeof mtu === 'number' && familyOf(remote) === 'ipv4' && !tagged) return mtu;
  const way = await innerMtu(route, remote, config);
  const left = tagged ? insideTags(way) : way;
  return typeof mtu === 'number' ? Math.min(mtu, left) : left;
}

/** Whether what does not fit the path to a peer goes in fragments. */
export function sendsFragments(remote: Ip, { outer }: Pick<TunnelConfig, 'outer'>): boolean {
  return outer.fragments === true && familyOf(remote) === 'ipv4';
}

/** What a route of `mtu` bytes leaves on the way to a peer; where nothing is known of that, the most that it can. */
export function innerMtuOf(
  mtu: number,
  { outer }: Pick<TunnelConfig, 'outer'>,
  remote?: OuterIp,
): number {
  const families = remote === undefined ? outerFamilies(outer) : [familyOf(remote)];
  return leaves(mtu, Math.min(...families.map(overheadOf)));
}

function leaves(mtu: number, overhead: number): number {
  return Math.max(MIN_INNER_MTU, mtu - overhead);
}

/** The MTU of the route to an address (Ethernet's where there is none). */
export async function outerMtu(
  route: RouteNetlink,
  remote: Ip,
  config: TunnelConfig,
): Promise<number> {
  const outer = config.outer.device;
  const oif = outer === undefined ? undefined : (await route.linkByName(outer))?.index;
  const way = await route.routeTo(remote, oif === undefined ? {} : { oif });
  const device = way && (await route.linkByIndex(way.oif));
  return way?.mtu ?? device?.mtu ?? ETHERNET_MTU;
}

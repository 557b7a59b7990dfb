import { familyOf, type Family, type OuterIp } from '../../../core/addr.ts';
import { carries } from '../../../core/config/families.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import type { Port } from '../../../core/units.ts';
import type { FouSpec } from '../../netlink/fou.ts';
import type { IpTunnelKind, Link } from '../../netlink/route.ts';

/*
 * Which objects of the kernel carry a tunnel:
 *
 * | outside | inside                    | device                    | listener           |
 * | ------- | ------------------------- | ------------------------- | ------------------ |
 * | IPv4    | IPv4                      | `ipip`                    | FOU for protocol 4 |
 * | IPv4    | IPv6, or IPv6 and IPv4    | `sit`, mode any           | GUE                |
 * | IPv6    | either or both            | `ip6tnl`, mode any        | GUE                |
 *
 * A FOU listener takes one protocol; a GUE one takes bare IPv4 and IPv6 alike (its variant 1), so that all
 * of these put the same bytes on the wire, and each understands the others. What else GUE is, headers of its
 * own, the guard keeps off.
 */

/** IPPROTO_IPIP of <linux/in.h>; ip(8)'s word "ipip" is another number. */
const IPPROTO_IPIP = 4;

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** The families that a tunnel carries. */
export function insideOf({ inner }: Pick<TunnelConfig, 'inner'>): readonly Family[] {
  return FAMILIES.filter((family) => carries(inner, family));
}

export function kindOf(config: Pick<TunnelConfig, 'inner'>, remote: OuterIp): IpTunnelKind {
  if (familyOf(remote) === 'ipv6') return 'ip6tnl';
  return carries(config.inner, 'ipv6') ? 'sit' : 'ipip';
}

export function listenerOf(
  { inner, outer }: Pick<TunnelConfig, 'inner' | 'outer'>,
  family: Family,
): FouSpec {
  const classic = family === 'ipv4' && !carries(inner, 'ipv6');
  return {
    family,
    port: outer.localPort,
    ...(classic
      ? { ipproto: IPPROTO_IPIP, type: 'direct' as const }
      : { ipproto: 0, type: 'gue' as const }),
  };
}

/** Kernel modules besides those of a tunnel of IPv4 alone. */
export function outerModules(
  config: Pick<TunnelConfig, 'inner'>,
  family: Family,
): readonly ('sit' | 'fou6' | 'ip6_tunnel')[] {
  if (family === 'ipv6') return ['fou6', 'ip6_tunnel'];
  return carries(config.inner, 'ipv6') ? ['sit'] : [];
}

/** Whether outer packets have a UDP checksum: over IPv6 they do unless that is switched off (RFC 6935). */
export function hasChecksum({ outer }: Pick<TunnelConfig, 'outer'>, remote: OuterIp): boolean {
  return outer.udpChecksum ?? familyOf(remote) === 'ipv6';
}

/** Whether a link is a device that encapsulates in FOU from this tunnel's port. */
export function isTunnelOfPort(link: Link, port: Port): boolean {
  return link.tunnel?.encap?.sourcePort === port;
}

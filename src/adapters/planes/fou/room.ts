import { IPV6_MIN_MTU } from '../../../core/wire/ipv6.ts';

/** What the path to a peer takes, as the kernel is to know it (bytes). */
export type Room = {
  /** MTU of the peer's device. */
  readonly device: number;
  /** MTU of the routes out of it; undefined = the device's. */
  readonly route: number | undefined;
};

/**
 * `allowed` is what the route to the peer leaves, `limit` what the path takes, where that is less. A device
 * that carries IPv4 alone has the path's MTU itself. The kernel takes all IPv6 off a device of less than 1280
 * bytes: so the devices of others keep at least that, and the routes have the path's (those of IPv6 only from
 * 1280 on: peer-routes.ts).
 */
export function roomOf(
  carriesIpv6: boolean,
  { allowed, limit }: { readonly allowed: number; readonly limit: number | undefined },
): Room {
  const path = Math.min(allowed, limit ?? allowed);
  if (!carriesIpv6) return { device: path, route: undefined };
  const device = Math.max(allowed, IPV6_MIN_MTU);
  return { device, route: path < device ? path : undefined };
}

export function sameRoom(a: Room | undefined, b: Room): boolean {
  return a?.device === b.device && a.route === b.route;
}

/** Largest inner packet that a device and its routes take. */
export function pathMtu({ device, route }: Room): number {
  return route ?? device;
}

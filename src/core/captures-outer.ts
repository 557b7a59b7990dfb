import { familyOf, prefixHolds, type Ip, type OuterIp, type Prefix } from './addr.ts';

/**
 * Whether a route to this prefix into a tunnel could take the tunnel's own outer packets into it, which
 * locks the host out: everything (also written as its two halves), and what holds the outer address of the
 * peer behind it. No plane makes a route to such a prefix; what is sent inside stays as allowed-ips says.
 */
export function capturesOuter(prefix: Prefix<Ip>, outer: OuterIp | undefined): boolean {
  if (prefix.length <= 1) return true;
  return (
    outer !== undefined && familyOf(outer) === familyOf(prefix.ip) && prefixHolds(prefix, outer)
  );
}

/** Which address families a tunnel uses, outside and inside. */
import { familyOf, type Family } from '../addr.ts';
import type { Carried } from '../wire/inner-packet.ts';
import type { InnerConfig, OuterConfig } from './tunnel-config.ts';

const BOTH: readonly Family[] = ['ipv4', 'ipv6'];

/**
 * The families that the outer side may be of, where the host has them: what `fou-family` says, else those of
 * `fou-local-ip`, else both.
 */
export function outerFamilies({
  family,
  localIps,
}: Pick<OuterConfig, 'family' | 'localIps'>): readonly Family[] {
  if (family !== 'auto') return [family];
  return localIps.length > 0 ? localIps.map(familyOf) : BOTH;
}

/** Whether packets of a family are carried. */
export function carries({ ips }: Pick<InnerConfig, 'ips'>, family: Family): boolean {
  return ips.some((ip) => familyOf(ip) === family);
}

/** Which families that are. */
export function carriedBy({ inner }: { readonly inner: Pick<InnerConfig, 'ips'> }): Carried {
  return { ipv4: carries(inner, 'ipv4'), ipv6: carries(inner, 'ipv6') };
}

/** As the field spells it. */
export function familyName(family: Family): 'IPv4' | 'IPv6' {
  return family === 'ipv4' ? 'IPv4' : 'IPv6';
}

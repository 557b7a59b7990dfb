import { parseInnerIp, prefixOf, type Family, type InnerIp } from '../addr.ts';
import type { Rate } from '../budgets.ts';
import type { PrefixLength } from './guard-peer.ts';
import { objectNames, type GuardSpec } from './guard-spec.ts';

/* Words of nft that rules of the guard are made of. */

export const UDP_HEADER = 8;

/** Attributes of a set that packets fill; seconds. */
export function bounded({ size, timeout }: { size: number; timeout: number }): string {
  return `size ${size}; flags dynamic,timeout; timeout ${timeout}s;`;
}

/** Whose budget a packet of a stranger is charged to: whoever has an address of IPv6 has all of its /64. */
export function sourceOf(family: Family): string {
  return family === 'ipv4' ? 'ip saddr' : `ip6 saddr & ${maskOf(family, 64)}`;
}

export function rate({ perSecond, burst }: Rate): string {
  return `rate ${perSecond}/second burst ${burst} packets`;
}

export function rateOver({ perSecond, burst }: Rate): string {
  return `rate over ${perSecond}/second burst ${burst} packets`;
}

export function refuse(spec: GuardSpec): string {
  return spec.counters ? `counter name ${objectNames(spec.port).refused} drop` : 'drop';
}

export function maskOf(family: Family, length: PrefixLength): InnerIp | undefined {
  const ones = parseInnerIp(
    family === 'ipv4' ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  );
  return ones && prefixOf(ones, length).ip;
}

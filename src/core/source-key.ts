import { familyOf, prefixOf, type OuterIp } from './addr.ts';
import type { Brand } from './units.ts';

/** Names a source of packets where it is counted, known or noted: see sourceOf. A key of maps, nothing to send to. */
export type SourceKey = Brand<string, 'SourceKey'>;

/** Bits of an IPv6 address that a host cannot choose: its network's (RFC 4291, 2.5.1). */
const NETWORK_BITS = 64;

/**
 * Who an address is for budgets: of IPv4 itself; of IPv6 its /64, since whoever has one address of it has
 * all of them (and changes them from day to day, RFC 8981).
 */
export function sourceOf(address: OuterIp): SourceKey {
  const key: string = familyOf(address) === 'ipv4' ? address : prefixOf(address, NETWORK_BITS).ip;
  return key as SourceKey;
}

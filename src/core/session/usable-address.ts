/** Addresses at which no other host can be, whatever a name says. */
import { ipv4ToNumber, type OuterIp } from '../addr.ts';
import type { Unusable } from '../events/trouble.ts';

/** Why an address is no host's or this one's, by itself (RFC 6890, RFC 5771); undefined = it may be another host's. */
export function unusableBy(address: OuterIp): Exclude<Unusable, 'own'> | undefined {
  const first = ipv4ToNumber(address) >>> 24;
  if (first === 0) return 'unspecified';
  if (first === 127) return 'loopback';
  if (first < 224) return undefined;
  return first < 240 ? 'multicast' : 'broadcast';
}

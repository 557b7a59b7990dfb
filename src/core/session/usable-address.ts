/** Addresses at which no other host can be, whatever a name says. */
import { encodeIp, familyOf, ipv4ToNumber, type OuterIp } from '../addr.ts';
import type { Unusable } from '../events/trouble.ts';

type Reason = Exclude<Unusable, 'own'>;

/** Why an address is no host's or this one's, by itself; undefined = it may be another host's. */
export function unusableBy(address: OuterIp): Reason | undefined {
  return familyOf(address) === 'ipv4' ? unusableIpv4(address) : unusableIpv6(address);
}

/** RFC 6890, RFC 5771. */
function unusableIpv4(address: OuterIp): Reason | undefined {
  const first = ipv4ToNumber(address) >>> 24;
  if (first === 0) return 'unspecified';
  if (first === 127) return 'loopback';
  if (first < 224) return undefined;
  return first < 240 ? 'multicast' : 'broadcast';
}

/** RFC 4291, 2.4. A link-local one means nothing without a device. */
function unusableIpv6(address: OuterIp): Reason | undefined {
  if (address === '::') return 'unspecified';
  if (address === '::1') return 'loopback';
  const [first = 0, second = 0] = encodeIp(address);
  if (first === 0xff) return 'multicast';
  return first === 0xfe && (second & 0xc0) === 0x80 ? 'link-local' : undefined;
}

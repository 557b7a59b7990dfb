import { encodeIp, familyOf, type OuterIp } from '../addr.ts';
import { unusableBy } from '../session/usable-address.ts';

/** Whether an address is one that hosts elsewhere on the internet can reach, by what it is for. */
export function isPublic(address: OuterIp): boolean {
  if (unusableBy(address) !== undefined) return false;
  const [first = 0, second = 0] = encodeIp(address);
  // Unique local ones (RFC 4193).
  if (familyOf(address) === 'ipv6') return (first & 0xfe) !== 0xfc;
  // RFC 1918, the sharing of carriers (RFC 6598), and link-local ones (RFC 3927).
  if (first === 10 || (first === 192 && second === 168)) return false;
  if (first === 172 && second >= 16 && second < 32) return false;
  if (first === 100 && second >= 64 && second < 128) return false;
  return !(first === 169 && second === 254);
}

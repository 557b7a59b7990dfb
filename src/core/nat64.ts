/**
 * Translators between a network of IPv6 alone and servers of IPv4 (NAT64, RFC 6146). They have an IPv6 address for
 * every IPv4 address: a prefix of 32 to 96 bits, and the IPv4 address in what follows, around bits 64 to 71, which
 * are zero (RFC 6052, section 2.2):
 *
 *     bits     0        32       40       48       56       64       72       80       88       96       104     128
 *     /32      | prefix | IPv4                              | 0      | suffix, zero
 *     /40      | prefix          | IPv4 (24)                | 0      | (8)    | suffix
 *     /48      | prefix                   | IPv4 (16)       | 0      | (16)            | suffix
 *     /56      | prefix                            | (8)    | 0      | IPv4 (24)                | suffix
 *     /64      | prefix                                     | 0      | IPv4                              | suffix
 *     /96      | prefix                                                                   | IPv4
 *
 * Which prefix a network has is what its name servers answer to a name that has IPv4 addresses alone, known to
 * everybody (RFC 7050).
 */
import {
  encodeIp,
  familyOf,
  decodeOuterIpv6,
  prefixOf,
  type OuterIp,
  type Prefix,
} from './addr.ts';

/** The name whose IPv6 addresses are a translator's making (RFC 7050, section 8). */
export const IPV4_ONLY_NAME = 'ipv4only.arpa';

/** Its IPv4 addresses, 192.0.0.170 and 192.0.0.171. */
const WELL_KNOWN = [Uint8Array.of(192, 0, 0, 170), Uint8Array.of(192, 0, 0, 171)] as const;

/** Lengths of prefixes, the common one first. */
const LENGTHS = [96, 64, 56, 48, 40, 32] as const;

/** The octet of bits 64 to 71. */
const RESERVED = 8;

/**
 * The prefixes that tell from the IPv6 addresses of IPV4_ONLY_NAME, in their order. Where an address has the IPv4
 * address at more than one place, the prefix is the one that another address, of the other IPv4 address, confirms
 * (RFC 7050, section 3).
 */
export function translationPrefixes(answers: readonly OuterIp[]): readonly Prefix<OuterIp>[] {
  const found = answers.filter((answer) => familyOf(answer) === 'ipv6').map(candidatesOf);
  const told = new Map<string, number>();
  for (const candidate of found.flat())
    told.set(keyOf(candidate), (told.get(keyOf(candidate)) ?? 0) + 1);
  const chosen = found.flatMap((candidates) => {
    const [first] = candidates;
    const confirmed = candidates.find((candidate) => (told.get(keyOf(candidate)) ?? 0) > 1);
    return confirmed ?? first ?? [];
  });
  return [...new Map(chosen.map((prefix) => [keyOf(prefix), prefix])).values()];
}

/** The address that a translator of this prefix has for an IPv4 address. */
export function translated(ipv4: OuterIp, { ip, length }: Prefix<OuterIp>): OuterIp {
  const bytes = encodeIp(ip).slice();
  const four = encodeIp(ipv4);
  for (const [index, at] of places(length).entries()) bytes[at] = four[index] ?? 0;
  return decodeOuterIpv6(bytes);
}

function candidatesOf(answer: OuterIp): readonly Prefix<OuterIp>[] {
  const bytes = encodeIp(answer);
  const here = LENGTHS.filter((length) => {
    if (length < 96 && bytes[RESERVED] !== 0) return false;
    const at = places(length);
    return WELL_KNOWN.some((four) => at.every((place, index) => bytes[place] === four[index]));
  });
  return here.map((length) => prefixOf(answer, length));
}

/** Where the four bytes of an IPv4 address are behind a prefix of so many bits. */
function places(length: number): readonly number[] {
  const places: number[] = [];
  for (let at = length / 8; places.length < 4; at += 1) if (at !== RESERVED) places.push(at);
  return places;
}

function keyOf({ ip, length }: Prefix<OuterIp>): string {
  return `${ip}/${length}`;
}

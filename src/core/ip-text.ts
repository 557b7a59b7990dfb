/**
 * Text of addresses of both families, and their bytes. One address has one text: dotted for IPv4, that of
 * RFC 5952 for IPv6, and an IPv4 address that is written as an IPv6 one (RFC 4291, 2.5.5.2) is the IPv4 one.
 */

const octet = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const dotted = new RegExp(`^${octet}\\.${octet}\\.${octet}\\.${octet}$`);

/** Bytes of an address. */
export const IPV4_LENGTH = 4;
export const IPV6_LENGTH = 16;

/**
 * The one text of the address that `text` spells; undefined where it spells none. IPv4 in full (no short
 * forms, no octal), IPv6 in any form of RFC 4291, 2.2, without a zone.
 */
export function canonicalIp(text: string): string | undefined {
  if (dotted.test(text)) return text;
  const bytes = text.includes(':') ? parseIpv6(text) : undefined;
  return bytes && ipText(bytes, 0, IPV6_LENGTH);
}

/** The text of `length` bytes in network order. */
export function ipText(
  bytes: Uint8Array,
  offset: number,
  length: typeof IPV4_LENGTH | typeof IPV6_LENGTH,
): string {
  if (length === IPV4_LENGTH) return dottedText(bytes, offset);
  if (isMappedIpv4(bytes, offset)) return dottedText(bytes, offset + MAPPED.length);
  const groups = Array.from({ length: GROUPS }, (_, index) => {
    const at = offset + 2 * index;
    return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  });
  const { start, count } = longestZeros(groups);
  const text = groups.map((group) => group.toString(16));
  if (count < 2) return text.join(':');
  return `${text.slice(0, start).join(':')}::${text.slice(start + count).join(':')}`;
}

/** The bytes of a canonical text, in network order: 4 or 16. Throws RangeError for any other text (a bug). */
export function ipBytes(text: string): Uint8Array {
  const bytes = text.includes(':') ? parseIpv6(text) : parseDotted(text);
  if (bytes === undefined) throw new RangeError(`${JSON.stringify(text)} is no address`);
  return bytes;
}

/** The same, an IPv4 address as an IPv6 one: always 16. */
export function mappedBytes(text: string): Uint8Array {
  const bytes = ipBytes(text);
  return bytes.length === IPV6_LENGTH ? bytes : Uint8Array.of(...MAPPED, ...bytes);
}

/** First 12 bytes of an IPv4 address as an IPv6 one. */
const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);
const GROUPS = 8;

/** Whether the sixteen bytes at `offset` are an IPv4 address as an IPv6 one. */
export function isMappedIpv4(bytes: Uint8Array, offset: number): boolean {
  return MAPPED.every((byte, index) => bytes[offset + index] === byte);
}

function dottedText(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

function parseDotted(text: string): Uint8Array | undefined {
  return dotted.test(text) ? Uint8Array.from(text.split('.'), Number) : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  const [before, after] = halves.map(parseGroups);
  if (halves.length > 2 || before === undefined) return undefined;
  if (halves.length === 1)
    return before.length === IPV6_LENGTH ? Uint8Array.from(before) : undefined;
  // `::` stands for one group at the least.
  if (after === undefined || before.length + after.length > IPV6_LENGTH - 2) return undefined;
  const bytes = new Uint8Array(IPV6_LENGTH);
  bytes.set(before);
  bytes.set(after, IPV6_LENGTH - after.length);
  return bytes;
}

/** The bytes of groups between colons, of which the last may be a dotted IPv4 address. */
function parseGroups(text: string, half: number, halves: readonly string[]): number[] | undefined {
  if (text === '') return halves.length === 1 ? undefined : [];
  const groups = text.split(':');
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    const last = half === halves.length - 1 && index === groups.length - 1;
    const ipv4 = last ? parseDotted(group) : undefined;
    if (ipv4) bytes.push(...ipv4);
    else if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 255);
    } else return undefined;
  }
  return bytes;
}

/** The first of the longest runs of zeros. */
function longestZeros(groups: readonly number[]): { start: number; count: number } {
  let best = { start: 0, count: 0 };
  let count = 0;
  for (const [index, group] of groups.entries()) {
    count = group === 0 ? count + 1 : 0;
    if (count > best.count) best = { start: index + 1 - count, count };
  }
  return best;
}

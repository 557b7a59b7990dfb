import { canonicalIp, ipBytes, ipText, IPV4_LENGTH, IPV6_LENGTH } from './ip-text.ts';
import { port, type Brand, type Port } from './units.ts';

/**
 * Addresses of both families are canonical text (ip-text.ts): so they are map keys and compare with `===`.
 * There are two kinds, which the compiler does not mix. What is for one family only says so by its name.
 */

/** An address of the network that the tunnel runs over: endpoints, sockets, sources, outer devices. */
export type OuterIp = Brand<string, 'OuterIp'>;

/** An address inside the tunnel: of its device, of peers, of what is behind them. */
export type InnerIp = Brand<string, 'InnerIp'>;

/** Either, where the kernel or a header makes no difference. */
export type Ip = OuterIp | InnerIp;

export type Family = 'ipv4' | 'ipv6';

/** A UDP endpoint. */
export type Endpoint = { readonly ip: OuterIp; readonly port: Port };

/** The four values that a data packet is admitted by; `local` is this host's side. */
export type Path = { readonly local: Endpoint; readonly remote: Endpoint };

/** A network, an inner one where nothing is said: the address has no bits set behind `length` (0..32, 0..128). */
export type Prefix<Kind extends Ip = InnerIp> = { readonly ip: Kind; readonly length: number };

/** The key of a map by endpoint: of IPv4 a number, below 2^48, since that costs a map the least. */
export type EndpointKey = Brand<number, 'EndpointKey'> | Brand<string, 'EndpointKey'>;

/** The key of a map by path. */
export type PathKey = Brand<string, 'PathKey'>;

/** The outer address that a text spells, in any form; undefined for anything else. */
export function parseOuterIp(text: string): OuterIp | undefined {
  return canonicalIp(text) as OuterIp | undefined;
}

/** The same of an inner address. */
export function parseInnerIp(text: string): InnerIp | undefined {
  return canonicalIp(text) as InnerIp | undefined;
}

export function familyOf(address: Ip): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** The address of a family among several of which no two are of one. */
export function ofFamily<Kind extends Ip>(
  addresses: readonly Kind[],
  family: Family,
): Kind | undefined {
  return addresses.find((address) => familyOf(address) === family);
}

/** Bits of an address. */
export function bitsOf(family: Family): 32 | 128 {
  return family === 'ipv4' ? 32 : 128;
}

/** Four bytes in network order to an outer address. */
export function decodeOuterIpv4(bytes: Uint8Array, offset = 0): OuterIp {
  return ipText(bytes, offset, IPV4_LENGTH) as OuterIp;
}

/** Sixteen; an IPv4-mapped address comes out as the IPv4 address. */
export function decodeOuterIpv6(bytes: Uint8Array, offset = 0): OuterIp {
  return ipText(bytes, offset, IPV6_LENGTH) as OuterIp;
}

/** Four bytes in network order to an inner address. */
export function decodeInnerIpv4(bytes: Uint8Array, offset = 0): InnerIp {
  return ipText(bytes, offset, IPV4_LENGTH) as InnerIp;
}

/** Sixteen. What comes in packets must not be IPv4-mapped: it would come out as the IPv4 address. */
export function decodeInnerIpv6(bytes: Uint8Array, offset = 0): InnerIp {
  return ipText(bytes, offset, IPV6_LENGTH) as InnerIp;
}

/** An address as four or sixteen bytes in network order. */
export function encodeIp(address: Ip): Uint8Array {
  return ipBytes(address);
}

/** An IPv4 address as four bytes in network order. */
export function encodeIpv4(address: Ip): Uint8Array {
  const value = ipv4ToNumber(address);
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

/** An IPv4 address as an unsigned 32-bit number. */
export function ipv4ToNumber(address: Ip): number {
  let value = 0;
  let byte = 0;
  for (let index = 0; index < address.length; index += 1) {
    const code = address.charCodeAt(index);
    if (code === DOT) {
      value = value * 256 + byte;
      byte = 0;
    } else {
      byte = byte * 10 + code - ZERO;
    }
  }
  return value * 256 + byte;
}

const DOT = 46;
const ZERO = 48;

/** The address of an unsigned 32-bit number (taken modulo 2^32). */
export function outerIpv4FromNumber(value: number): OuterIp {
  return numberText(value) as OuterIp;
}

export function innerIpv4FromNumber(value: number): InnerIp {
  return numberText(value) as InnerIp;
}

function numberText(value: number): string {
  const v = value >>> 0;
  return `${v >>> 24}.${(v >>> 16) & 255}.${(v >>> 8) & 255}.${v & 255}`;
}

/** `address` plus `count`, wrapping at the end of its family. */
export function addToIp<Kind extends Ip>(address: Kind, count: number): Kind {
  if (familyOf(address) === 'ipv4') return numberText(ipv4ToNumber(address) + count) as Kind; // of the kind that was given
  const bytes = encodeIp(address);
  let carry = count;
  for (let index = bytes.length - 1; index >= 0 && carry !== 0; index -= 1) {
    const sum = (bytes[index] ?? 0) + carry;
    bytes[index] = sum & 255;
    carry = Math.floor(sum / 256);
  }
  return ipText(bytes, 0, IPV6_LENGTH) as Kind;
}

/** The network of `length` bits that an address is in. */
export function prefixOf<Kind extends Ip>(address: Kind, length: number): Prefix<Kind> {
  if (familyOf(address) === 'ipv4') {
    const size = 2 ** (32 - length);
    const value = ipv4ToNumber(address);
    return { ip: numberText(value - (value % size)) as Kind, length };
  }
  const bytes = encodeIp(address);
  for (const [index, byte] of bytes.entries()) {
    const kept = Math.min(8, Math.max(0, length - 8 * index));
    bytes[index] = byte & (0xff00 >> kept);
  }
  return { ip: ipText(bytes, 0, IPV6_LENGTH) as Kind, length };
}

/** The network of one address alone. */
export function hostPrefix<Kind extends Ip>(address: Kind): Prefix<Kind> {
  return { ip: address, length: bitsOf(familyOf(address)) };
}

/** Whether a prefix is one of these addresses alone. */
export function isHostOf({ ip, length }: Prefix<Ip>, addresses: readonly Ip[]): boolean {
  return length === bitsOf(familyOf(ip)) && addresses.includes(ip);
}

/** `address/length`. */
export function formatPrefix(prefix: Prefix<Ip>): string {
  return `${prefix.ip}/${prefix.length}`;
}

/** Whether an address lies within a prefix. */
export function prefixHolds(prefix: Prefix<Ip>, address: Ip): boolean {
  const family = familyOf(address);
  if (family !== familyOf(prefix.ip)) return false;
  if (family === 'ipv6') return prefixOf(address, prefix.length).ip === prefix.ip;
  const shift = 2 ** (32 - prefix.length);
  return Math.floor(ipv4ToNumber(address) / shift) === Math.floor(ipv4ToNumber(prefix.ip) / shift);
}

/** A port that a decimal text spells; undefined when it is none. */
export function parsePort(text: string): Port | undefined {
  const value = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
  return value >= 1 && value <= 65535 ? port(value) : undefined;
}

/** `address:port`, `[address]:port` of IPv6. */
export function formatEndpoint({ ip, port: number }: Endpoint): string {
  return familyOf(ip) === 'ipv4' ? `${ip}:${number}` : `[${ip}]:${number}`;
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.ip === b.ip && a.port === b.port;
}

export function samePath(a: Path, b: Path): boolean {
  return sameEndpoint(a.local, b.local) && sameEndpoint(a.remote, b.remote);
}

export function endpointKey({ ip, port: number }: Endpoint): EndpointKey {
  if (familyOf(ip) === 'ipv4') return ipv4EndpointKey(ipv4ToNumber(ip), number);
  return `${number} ${ip}` as EndpointKey;
}

/** The same, where the address is a number. */
export function ipv4EndpointKey(ip: number, number: number): EndpointKey {
  return (ip * 65_536 + number) as EndpointKey;
}

export function pathKey({ local, remote }: Path): PathKey {
  return `${formatEndpoint(remote)} ${formatEndpoint(local)}` as PathKey;
}

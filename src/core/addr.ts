import { port, type Brand, type Port } from './units.ts';

/**
 * Addresses are canonical text: so they are map keys and compare with `===`. There are two kinds, which the
 * compiler does not mix. What needs the number of an IPv4 address says so by its name.
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

/** A network, an inner one where nothing is said: the address has no bits set behind `length` (0..32). */
export type Prefix<Kind extends Ip = InnerIp> = { readonly ip: Kind; readonly length: number };

/** The key of a map by endpoint. A number, below 2^48, since that costs a map the least. */
export type EndpointKey = Brand<number, 'EndpointKey'>;

/** The key of a map by path. */
export type PathKey = Brand<string, 'PathKey'>;

const octet = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const dotted = new RegExp(`^${octet}\\.${octet}\\.${octet}\\.${octet}$`);

/** The outer address a text spells in full dotted form; undefined for anything else (no short forms, no octal). */
export function parseOuterIp(text: string): OuterIp | undefined {
  return dotted.test(text) ? (text as OuterIp) : undefined;
}

/** The same of an inner address. */
export function parseInnerIp(text: string): InnerIp | undefined {
  return dotted.test(text) ? (text as InnerIp) : undefined;
}

export function familyOf(address: Ip): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** Four bytes in network order to an outer address. */
export function decodeOuterIpv4(bytes: Uint8Array, offset = 0): OuterIp {
  return dottedText(bytes, offset) as OuterIp;
}

/** The same to an inner address. */
export function decodeInnerIpv4(bytes: Uint8Array, offset = 0): InnerIp {
  return dottedText(bytes, offset) as InnerIp;
}

function dottedText(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
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

/** `address` plus `count`, wrapping at 2^32. */
export function ipv4Add<Kind extends Ip>(address: Kind, count: number): Kind {
  return numberText(ipv4ToNumber(address) + count) as Kind; // of the kind that was given
}

/** `address/length`. */
export function formatPrefix(prefix: Prefix<Ip>): string {
  return `${prefix.ip}/${prefix.length}`;
}

/** Whether an address lies within a prefix. */
export function prefixHolds(prefix: Prefix<Ip>, address: Ip): boolean {
  const shift = 2 ** (32 - prefix.length);
  return Math.floor(ipv4ToNumber(address) / shift) === Math.floor(ipv4ToNumber(prefix.ip) / shift);
}

/** A port that a decimal text spells; undefined when it is none. */
export function parsePort(text: string): Port | undefined {
  const value = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
  return value >= 1 && value <= 65535 ? port(value) : undefined;
}

/** `address:port`. */
export function formatEndpoint(endpoint: Endpoint): string {
  return `${endpoint.ip}:${endpoint.port}`;
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.ip === b.ip && a.port === b.port;
}

export function samePath(a: Path, b: Path): boolean {
  return sameEndpoint(a.local, b.local) && sameEndpoint(a.remote, b.remote);
}

export function endpointKey({ ip, port: number }: Endpoint): EndpointKey {
  return ipv4EndpointKey(ipv4ToNumber(ip), number);
}

/** The same, where the address is a number. */
export function ipv4EndpointKey(ip: number, number: number): EndpointKey {
  return (ip * 65_536 + number) as EndpointKey;
}

export function pathKey({ local, remote }: Path): PathKey {
  return `${formatEndpoint(remote)} ${formatEndpoint(local)}` as PathKey;
}

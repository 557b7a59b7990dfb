import { port, type Brand, type Port } from './units.ts';

/**
 * An IPv4 address in canonical dotted text. Text, so that addresses are map keys and compare with
 * `===`; a second family joins as another brand of the same kind.
 */
export type Ipv4 = Brand<string, 'Ipv4'>;

/** A UDP endpoint. */
export type Endpoint = { readonly ip: Ipv4; readonly port: Port };

/** The four values that a data packet is admitted by; `local` is this host's side. */
export type Path = { readonly local: Endpoint; readonly remote: Endpoint };

/** An inner network: the address has no bits set behind `length` (0..32). */
export type Prefix = { readonly ip: Ipv4; readonly length: number };

const octet = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const dotted = new RegExp(`^${octet}\\.${octet}\\.${octet}\\.${octet}$`);

/** The address a text spells in full dotted form; undefined for anything else (no short forms, no octal). */
export function parseIpv4(text: string): Ipv4 | undefined {
  return dotted.test(text) ? (text as Ipv4) : undefined;
}

/** Four bytes in network order to an address. */
export function decodeIpv4(bytes: Uint8Array, offset = 0): Ipv4 {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}` as Ipv4;
}

/** An address as four bytes in network order. */
export function encodeIpv4(address: Ipv4): Uint8Array {
  const value = ipv4ToNumber(address);
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

/** An address as an unsigned 32-bit number. */
export function ipv4ToNumber(address: Ipv4): number {
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
export function ipv4FromNumber(value: number): Ipv4 {
  const v = value >>> 0;
  return `${v >>> 24}.${(v >>> 16) & 255}.${(v >>> 8) & 255}.${v & 255}` as Ipv4;
}

/** `address` plus `count`, wrapping at 2^32. */
export function ipv4Add(address: Ipv4, count: number): Ipv4 {
  return ipv4FromNumber(ipv4ToNumber(address) + count);
}

/** `address/length`. */
export function formatPrefix(prefix: Prefix): string {
  return `${prefix.ip}/${prefix.length}`;
}

/** Whether an address lies within a prefix. */
export function prefixHolds(prefix: Prefix, address: Ipv4): boolean {
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

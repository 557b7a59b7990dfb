/** Names of linux/rtnetlink.h (6.1) that links, addresses and routes share, and addresses in attributes. */
import {
  decodeOuterIpv4,
  decodeOuterIpv6,
  encodeIp,
  encodeIpv4,
  familyOf,
  type Family,
  type OuterIp,
  type Ip,
} from '../addr.ts';
import { getU16be } from '../bytes.ts';
import { refuse, succeed, type Decoded } from '../result.ts';
import { attrBytes } from './attributes.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

export const RTNLGRP_LINK = 1;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV4_ROUTE = 7;
export const RTNLGRP_IPV6_IFADDR = 9;
export const RTNLGRP_IPV6_ROUTE = 11;

// sys/socket.h
export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;

export function encodeFamily(family: Family): number {
  return family === 'ipv4' ? AF_INET : AF_INET6;
}

/** undefined for any other (bridges, multicast routing, MPLS). */
export function decodeFamily(value: number | undefined): Family | undefined {
  if (value === AF_INET) return 'ipv4';
  return value === AF_INET6 ? 'ipv6' : undefined;
}

/** enum rt_scope_t, for addresses and routes. */
const scopes = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;
export type Scope = keyof typeof scopes;

export function encodeScope(scope: Scope): number {
  return scopes[scope];
}

/** The scope's name; a scope that an administrator numbered himself counts as the next wider one. */
export function decodeScope(value: number): Scope {
  if (value >= scopes.nowhere) return 'nowhere';
  if (value >= scopes.host) return 'host';
  if (value >= scopes.link) return 'link';
  return value >= scopes.site ? 'site' : 'global';
}

export function attrIpv4(type: number, address: Ip): Uint8Array {
  return attrBytes(type, encodeIpv4(address));
}

/** An address of either family: four bytes or sixteen. */
export function attrIp(type: number, address: Ip): Uint8Array {
  return attrBytes(type, encodeIp(address));
}

/** The address of a four-byte attribute. */
export function decodeOuterIpv4Attribute(payload: Uint8Array): Decoded<OuterIp> {
  return payload.length === 4
    ? succeed(decodeOuterIpv4(payload))
    : refuse(`${payload.length} bytes where an IPv4 address is due`);
}

/** Of a sixteen-byte one. */
export function decodeOuterIpv6Attribute(payload: Uint8Array): Decoded<OuterIp> {
  return payload.length === 16
    ? succeed(kernelIpv6(payload))
    : refuse(`${payload.length} bytes where an IPv6 address is due`);
}

/** Reads the addresses of a message about one family. */
export function decodeIpAttribute(family: Family): (payload: Uint8Array) => Decoded<Ip> {
  return family === 'ipv4' ? decodeOuterIpv4Attribute : decodeOuterIpv6Attribute;
}

/**
 * An IPv6 address of the kernel's tables. One that is IPv4-mapped (routes to `::ffff:0.0.0.0/96` exist) is not
 * the IPv4 address there: it keeps a text of its own, which no address of ours has.
 */
function kernelIpv6(bytes: Uint8Array): OuterIp {
  const ip = decodeOuterIpv6(bytes);
  if (familyOf(ip) === 'ipv6') return ip;
  const [high, low] = [getU16be(bytes, 12), getU16be(bytes, 14)];
  return `::ffff:${high.toString(16)}:${low.toString(16)}` as OuterIp; // not canonical, on purpose
}

/** How tunnels and routes say "none". */
export function unspecified(family: Family): OuterIp {
  return (family === 'ipv4' ? '0.0.0.0' : '::') as OuterIp; // both are canonical
}

/** The same address, but undefined for "none". */
export function specified<Kind extends Ip>(address: Kind | undefined): Kind | undefined {
  return address === '0.0.0.0' || address === '::' ? undefined : address;
}

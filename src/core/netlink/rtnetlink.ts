/** Names of linux/rtnetlink.h (6.1) that links, addresses and routes share, and IPv4 in attributes. */
import { decodeOuterIpv4, encodeIpv4, type OuterIp, type Ip } from '../addr.ts';
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

// sys/socket.h
export const AF_UNSPEC = 0;
export const AF_INET = 2;

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

/** The address of a four-byte attribute. */
export function decodeIpv4Attribute(payload: Uint8Array): Decoded<Ip> {
  return decodeOuterIpv4Attribute(payload);
}

/** The same, where it can be an outer one only. */
export function decodeOuterIpv4Attribute(payload: Uint8Array): Decoded<OuterIp> {
  return payload.length === 4
    ? succeed(decodeOuterIpv4(payload))
    : refuse(`${payload.length} bytes where an IPv4 address is due`);
}

/** 0.0.0.0 is how tunnels and routes say "none". */
export function specified<Kind extends Ip>(address: Kind | undefined): Kind | undefined {
  return address === '0.0.0.0' ? undefined : address;
}

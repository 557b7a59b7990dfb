/**
 * struct sockaddr_in and sockaddr_in6 (linux/in.h, in6.h of 6.1): the family in the host's byte order, port and
 * address in the network's. Of the second, flow label and scope are zero: no outer address of ours has a scope.
 *
 *     +---------------+---------------+-------------------------------+---------...-+
 *     | sin_family    | sin_port      | sin_addr                      | zero (8)    |
 *     +---------------+---------------+-------------------------------+---------...-+
 *     +---------------+---------------+---------------+---------...-+---------------+
 *     | sin6_family   | sin6_port     | sin6_flowinfo | sin6_addr   | sin6_scope_id |
 *     |             2 |             2 |             4 |          16 |             4 |
 *     +---------------+---------------+---------------+---------...-+---------------+
 */
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
import { encodeU16be, encodeU16host, getU16be, getU16host } from '../bytes.ts';
import { refuse, succeed, type Decoded } from '../result.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCKADDR_IN_LENGTH = 16;
export const SOCKADDR_IN6_LENGTH = 28;

const AT = { family: 0, port: 2, address: 4 } as const;
const AT6 = { address: 8 } as const;

/** `port` is 0 where the kernel takes no notice of it or is to choose one. */
export type SocketAddress = { readonly ip: OuterIp; readonly port: number };

/** The number that the kernel has for a family. */
export function addressFamily(family: Family): typeof AF_INET | typeof AF_INET6 {
  return family === 'ipv4' ? AF_INET : AF_INET6;
}

/** The struct of the address's family: 16 or 28 bytes. */
export function encodeSockaddr(address: { readonly ip: Ip; readonly port: number }): Uint8Array {
  return familyOf(address.ip) === 'ipv4' ? encodeSockaddrIn(address) : encodeSockaddrIn6(address);
}

/** Either struct, told apart by its family. An IPv4-mapped address comes out as the IPv4 address. */
export function decodeSockaddr(bytes: Uint8Array): Decoded<SocketAddress> {
  const ipv6 = bytes.length >= 2 && getU16host(bytes, AT.family) === AF_INET6;
  return ipv6 ? decodeSockaddrIn6(bytes) : decodeSockaddrIn(bytes);
}

export function encodeSockaddrIn(address: { readonly ip: Ip; readonly port: number }): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_IN_LENGTH);
  bytes.set(encodeU16host(AF_INET), AT.family);
  bytes.set(encodeU16be(address.port), AT.port);
  bytes.set(encodeIpv4(address.ip), AT.address);
  return bytes;
}

export function decodeSockaddrIn(bytes: Uint8Array): Decoded<SocketAddress> {
  if (bytes.length !== SOCKADDR_IN_LENGTH) {
    return refuse(`a sockaddr_in of ${bytes.length} bytes`);
  }
  const family = getU16host(bytes, AT.family);
  if (family !== AF_INET) return refuse(`address family ${family}`);
  return succeed({ ip: decodeOuterIpv4(bytes, AT.address), port: getU16be(bytes, AT.port) });
}

function encodeSockaddrIn6(address: { readonly ip: Ip; readonly port: number }): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_IN6_LENGTH);
  bytes.set(encodeU16host(AF_INET6), AT.family);
  bytes.set(encodeU16be(address.port), AT.port);
  bytes.set(encodeIp(address.ip), AT6.address);
  return bytes;
}

function decodeSockaddrIn6(bytes: Uint8Array): Decoded<SocketAddress> {
  if (bytes.length !== SOCKADDR_IN6_LENGTH) {
    return refuse(`a sockaddr_in6 of ${bytes.length} bytes`);
  }
  return succeed({ ip: decodeOuterIpv6(bytes, AT6.address), port: getU16be(bytes, AT.port) });
}

/**
 * struct sockaddr_in (linux/in.h of 6.1): the family in the host's byte order, port and address in
 * the network's, eight zero bytes.
 *
 *     +---------------+---------------+-------------------------------+---------...-+
 *     | sin_family    | sin_port      | sin_addr                      | zero (8)    |
 *     +---------------+---------------+-------------------------------+---------...-+
 */
import { decodeOuterIpv4, encodeIpv4, type OuterIp, type Ip } from '../addr.ts';
import { encodeU16be, encodeU16host, getU16be, getU16host } from '../bytes.ts';
import { refuse, succeed, type Decoded } from '../result.ts';

export const AF_INET = 2;
export const SOCKADDR_IN_LENGTH = 16;

const AT = { family: 0, port: 2, address: 4 } as const;

/** `port` is 0 where the kernel takes no notice of it or is to choose one. */
export type SocketAddress = { readonly ip: OuterIp; readonly port: number };

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

/**
 * What a TUN device with IFF_VNET_HDR puts before every packet: struct virtio_net_hdr (linux/virtio_net.h
 * of 6.1; VIRTIO 1.2, section 5.1.6), in host byte order, as a TUN device has it unless told otherwise.
 *
 *     +-------+----------+---------------+---------------+---------------+---------------+
 *     | flags | gso_type | hdr_len (u16) | gso_size      | csum_start    | csum_offset   |
 *     +-------+----------+---------------+---------------+---------------+---------------+
 *
 * NEEDS_CSUM: the checksum field at csum_start + csum_offset holds the sum of the pseudo header; the
 * checksum of everything from csum_start on is to be put there. With a gso_type the packet is a
 * super-packet: to be cut into packets of gso_size bytes of payload each.
 */
import type { Arena } from './arena.ts';

export const VNET_HEADER_BYTES = 10;

export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;

export const VIRTIO_NET_HDR_GSO_NONE = 0;
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4;
export const VIRTIO_NET_HDR_GSO_UDP_L4 = 5;
/** TCP with ECN: a bit beside the type. */
export const VIRTIO_NET_HDR_GSO_ECN = 0x80;

const AT = {
  flags: 0,
  gsoType: 1,
  headerLength: 2,
  gsoSize: 4,
  checksumStart: 6,
  checksumOffset: 8,
} as const;

/** Fields of the header at `at`, which is even. */
export function needsChecksum(arena: Arena, at: number): boolean {
  return ((arena.bytes[at + AT.flags] ?? 0) & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0;
}

/** VIRTIO_NET_HDR_GSO_*, without the ECN bit. */
export function gsoType(arena: Arena, at: number): number {
  return (arena.bytes[at + AT.gsoType] ?? 0) & ~VIRTIO_NET_HDR_GSO_ECN;
}

export function gsoSize(arena: Arena, at: number): number {
  return arena.u16[(at + AT.gsoSize) / 2] ?? 0;
}

export function checksumStart(arena: Arena, at: number): number {
  return arena.u16[(at + AT.checksumStart) / 2] ?? 0;
}

export function checksumOffset(arena: Arena, at: number): number {
  return arena.u16[(at + AT.checksumOffset) / 2] ?? 0;
}

/** The header of a packet with a checksum to be finished, `offset` bytes into what is from `start` on. */
export function encodeChecksumHeader(
  arena: Arena,
  at: number,
  start: number,
  offset: number,
): void {
  arena.bytes[at + AT.flags] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  arena.bytes[at + AT.gsoType] = VIRTIO_NET_HDR_GSO_NONE;
  arena.u16[(at + AT.headerLength) / 2] = 0;
  arena.u16[(at + AT.gsoSize) / 2] = 0;
  arena.u16[(at + AT.checksumStart) / 2] = start;
  arena.u16[(at + AT.checksumOffset) / 2] = offset;
}

/**
 * The header of a TCP super-packet with a checksum to be finished, of the family that its IP header's `version`
 * says; `congestion`: its first segment alone has CWR. `at` is even.
 */
export function encodeTcpHeader(
  arena: Arena,
  at: number,
  version: number,
  lengths: { readonly ip: number; readonly headers: number; readonly payload: number },
  congestion = false,
): void {
  const type = version === 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
  const ecn = congestion ? VIRTIO_NET_HDR_GSO_ECN : 0;
  arena.bytes[at + AT.flags] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  arena.bytes[at + AT.gsoType] = type | ecn;
  arena.u16[(at + AT.headerLength) / 2] = lengths.headers;
  arena.u16[(at + AT.gsoSize) / 2] = lengths.payload;
  arena.u16[(at + AT.checksumStart) / 2] = lengths.ip;
  arena.u16[(at + AT.checksumOffset) / 2] = TCP_CHECKSUM;
}

/** Where the checksum is in a TCP header (RFC 9293). */
export const TCP_CHECKSUM = 16;

/**
 * Packets whose transport checksum the sender's kernel left to its device (CHECKSUM_PARTIAL), and that met
 * none on their way: a tunnel's other end in this same kernel, in another container. A program on tc and
 * the kernel's own tunnels put outer headers on such packets, a virtual cable passes them, and a UDP socket
 * hands them out, all without a word. In the checksum field is the sum of the pseudo header then:
 *
 *     unfinished    field = P            P: pseudo header    D: everything from the transport header on
 *     finished      field = ~(P + D)                            but the field
 *
 * A finished checksum has the other's value once in 65536 packets. Nothing is spoiled then: to finish it is
 * to store ~(P + D), which is what is there; only nobody verifies that packet.
 *
 * A super-packet comes as it left its sender, too, longer than any MTU and with the sum of one pseudo header
 * for all. How long its segments were is not known; the MTU of our own device is what both ends are given.
 */
import type { Arena } from './arena.ts';
import { fold, sumBytes, word16 } from './packet-sum.ts';
import {
  FRAGMENT_BITS,
  IP,
  IP6,
  IP6_HEADER_BYTES,
  IPPROTO_TCP,
  IPPROTO_UDP,
  ipVersion,
  pseudoHeaderSum,
  TCP,
  udpChecksum,
} from './segmentation.ts';
import { TCP_CHECKSUM } from './virtio-net.ts';

/** Where the checksum is in a UDP header (RFC 768). */
const UDP_CHECKSUM = 6;

/** Whether the 16 bits at `field` are the sum `pseudo`. */
export function isUnfinished(packets: Arena, field: number, pseudo: number): boolean {
  return word16(packets.u16be(field)) === pseudo;
}

/** Where in its transport header the unfinished checksum of the packet at `at` is; 0: it has none. */
export function unfinishedChecksum(packets: Arena, at: number, length: number): number {
  const ipv4 = ipVersion(packets, at) === 4;
  // One of IPv6 with extension headers is left as it is: its kernel does not leave checksums of such to a device.
  const protocol = packets.bytes[at + (ipv4 ? IP.protocol : IP6.nextHeader)] ?? 0;
  const offset =
    protocol === IPPROTO_TCP ? TCP_CHECKSUM : protocol === IPPROTO_UDP ? UDP_CHECKSUM : 0;
  const header = headerBytes(packets, at);
  if (
    offset === 0 ||
    header + offset + 2 > length ||
    (ipv4
      ? packets.u16be(at + IP.totalLength) !== length ||
        (packets.u16be(at + IP.fragment) & FRAGMENT_BITS) !== 0
      : packets.u16be(at + IP6.payloadLength) + IP6_HEADER_BYTES !== length)
  ) {
    return 0;
  }
  const pseudo = fold(pseudoHeaderSum(packets, at, protocol) + word16(length - header));
  return isUnfinished(packets, at + header + offset, pseudo) ? offset : 0;
}

/** Bytes of the IP header at `at`. */
export function headerBytes(packets: Arena, at: number): number {
  if (ipVersion(packets, at) === 6) return IP6_HEADER_BYTES;
  return ((packets.bytes[at] ?? 0) & 0x0f) * 4;
}

/** Bytes of IP and TCP header of the packet at `at`, which is of TCP; 0 when it is all headers. */
export function tcpHeaderBytes(packets: Arena, at: number, length: number): number {
  const ip = headerBytes(packets, at);
  const both = ip + ((packets.bytes[at + ip + TCP.dataOffset] ?? 0) >> 4) * 4;
  return both < length ? both : 0;
}

/** Finishes the checksum that `unfinishedChecksum` found at `offset`. */
export function finishChecksum(packets: Arena, at: number, length: number, offset: number): void {
  const header = headerBytes(packets, at);
  const sum = sumBytes(packets, at + header, length - header);
  const checksum = offset === UDP_CHECKSUM ? udpChecksum(sum) : ~sum;
  packets.setU16be(at + header + offset, word16(checksum & 0xffff));
}

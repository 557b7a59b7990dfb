/**
 * How a socket of a family has addresses in its messages: what DatagramBatch and InboundBatch build and read.
 *
 *     control out, IPv4    IP_PKTINFO (32 bytes)                         UDP_SEGMENT (24)
 *     control out, IPv6    IPV6_PKTINFO (40 bytes)    IPV6_TCLASS (24)   UDP_SEGMENT (24)
 *     control in, IPv4     IP_PKTINFO, IP_TOS, UDP_GRO, in the kernel's order
 *     control in, IPv6     IPV6_PKTINFO, IPV6_TCLASS, UDP_GRO, in the kernel's order
 */
import type { Family } from '../../../core/addr.ts';
import { SOCKADDR_IN6_LENGTH, SOCKADDR_IN_LENGTH } from '../../../core/wire/sockaddr.ts';
import {
  CMSGHDR_BYTES,
  INT_SPACE,
  PKTINFO6_SPACE,
  PKTINFO_SPACE,
} from '../../udp/message-headers.ts';

export type MessageShape = {
  readonly family: Family;
  /** Bytes of a socket address, and from one to the next. */
  readonly name: number;
  readonly nameStride: number;
  /** Words of a socket address that are not zero in all. */
  readonly nameWords: number;
  /** Bytes of control messages that every message has. */
  readonly always: number;
  /** Where in them the source address is. */
  readonly source: number;
  /** Where the number of IPV6_TCLASS is; undefined: there is none. */
  readonly trafficClass: number | undefined;
  /** Bytes of all control messages that there may be, and some to spare. */
  readonly control: number;
};

export const IPV4_MESSAGES: MessageShape = {
  family: 'ipv4',
  name: SOCKADDR_IN_LENGTH,
  nameStride: SOCKADDR_IN_LENGTH,
  nameWords: 2,
  always: PKTINFO_SPACE,
  /** ipi_spec_dst. */
  source: CMSGHDR_BYTES + 4,
  trafficClass: undefined,
  control: PKTINFO_SPACE + INT_SPACE + INT_SPACE + 8,
};

export const IPV6_MESSAGES: MessageShape = {
  family: 'ipv6',
  name: SOCKADDR_IN6_LENGTH,
  nameStride: 32,
  nameWords: SOCKADDR_IN6_LENGTH / 4,
  always: PKTINFO6_SPACE + INT_SPACE,
  source: CMSGHDR_BYTES,
  trafficClass: PKTINFO6_SPACE + CMSGHDR_BYTES,
  control: PKTINFO6_SPACE + INT_SPACE + INT_SPACE + 8,
};

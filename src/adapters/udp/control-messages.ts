/**
 * Control messages of recvmsg(2) on 64-bit Linux, and what IP_RECVERR and IPV6_RECVERR put into one
 * (linux/errqueue.h of 6.1, struct sock_extended_err; the host's byte order):
 *
 *     struct cmsghdr             0 cmsg_len u64    8 level i32   12 type i32   16 data, padded to 8
 *     struct sock_extended_err   0 ee_errno u32    4 ee_origin   5 ee_type     6 ee_code   7 pad
 *                                8 ee_info u32 (the MTU of "too big")         12 ee_data u32
 */
import { decodeOuterIpv4, decodeOuterIpv6, type OuterIp } from '../../core/addr.ts';
import { getS32host, getU16host, getU32host, getU64host } from '../../core/bytes.ts';
import { icmpError, icmpv6Error, type IcmpError } from '../../core/wire/icmp-error.ts';
import { AF_INET, AF_INET6 } from '../../core/wire/sockaddr.ts';
import {
  CMSGHDR_BYTES,
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_PKTINFO,
} from './message-headers.ts';

/** linux/in.h, linux/in6.h */
const IP_RECVERR = 11;
const IPV6_RECVERR = 25;
const SO_EE_ORIGIN_ICMP = 2;
const SO_EE_ORIGIN_ICMP6 = 3;
const EXTENDED_ERR_BYTES = 16;
const EE_ORIGIN = 4;
const EE_TYPE = 5;
const EE_INFO = 8;
/** Offsets in struct in_pktinfo. */
const IPI_SPEC_DST = 4;
const IPI_ADDR = 8;
const IPV6_BYTES = 16;
/** struct sockaddr_in and sockaddr_in6 of linux/in.h, in6.h: where their addresses are. */
const SIN_ADDR = 4;
const SIN6_ADDR = 8;
/** First byte of IPv6 multicast addresses (RFC 4291, section 2.7). */
const MULTICAST = 0xff;

/** A control message within its block: `length` counts its header. */
export type ControlMessage = {
  readonly level: number;
  readonly type: number;
  readonly offset: number;
  readonly length: number;
  /** A view. */
  readonly data: Uint8Array;
};

/** The messages of a block, in order; what is malformed ends it. */
export function controlMessages(block: Uint8Array): readonly ControlMessage[] {
  const messages: ControlMessage[] = [];
  let offset = 0;
  while (offset + CMSGHDR_BYTES <= block.length) {
    const length = Number(getU64host(block, offset));
    if (length < CMSGHDR_BYTES || offset + length > block.length) break;
    messages.push({
      level: getS32host(block, offset + 8),
      type: getS32host(block, offset + 12),
      offset,
      length,
      data: block.subarray(offset + CMSGHDR_BYTES, offset + length),
    });
    offset += (length + 7) & ~7;
  }
  return messages;
}

/** What a router or the other host says of a packet of ours; undefined for any other message. */
export function receivedError({ level, type, data }: ControlMessage): IcmpError | undefined {
  const ipv4 = level === IPPROTO_IP && type === IP_RECVERR;
  const ipv6 = level === IPPROTO_IPV6 && type === IPV6_RECVERR;
  if ((!ipv4 && !ipv6) || data.length < EXTENDED_ERR_BYTES) return undefined;
  if (data[EE_ORIGIN] !== (ipv4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6)) return undefined;
  const [icmpType = 0, code = 0] = data.subarray(EE_TYPE);
  const nextHopMtu = getU32host(data, EE_INFO);
  const fields = { type: icmpType, code, nextHopMtu, from: offender(data) };
  return ipv4 ? icmpError(fields) : icmpv6Error(fields);
}

/** The address that the error came from (SO_EE_OFFENDER(): a socket address behind the error). */
function offender(data: Uint8Array): OuterIp | undefined {
  const address = data.subarray(EXTENDED_ERR_BYTES);
  if (address.length < 2) return undefined;
  const family = getU16host(address, 0);
  if (family === AF_INET && address.length >= SIN_ADDR + 4) {
    return decodeOuterIpv4(address, SIN_ADDR);
  }
  return family === AF_INET6 && address.length >= SIN6_ADDR + IPV6_BYTES
    ? decodeOuterIpv6(address, SIN6_ADDR)
    : undefined;
}

/**
 * The address that an ICMP error came to: ours. Of its struct in_pktinfo only ipi_addr is set (6.1,
 * ip_recv_error() of net/ipv4/ip_sockglue.c); undefined for any other message.
 */
export function arrivedAt({ level, type, data }: ControlMessage): OuterIp | undefined {
  if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO && data.length >= IPV6_BYTES) {
    return decodeOuterIpv6(data);
  }
  const found = level === IPPROTO_IP && type === IP_PKTINFO && data.length >= IPI_ADDR + 4;
  return found ? decodeOuterIpv4(data, IPI_ADDR) : undefined;
}

/**
 * The address of ours that a datagram was sent to; undefined for any other message, and where it was not sent to
 * this host alone (broadcast, multicast).
 */
export function sentTo(message: ControlMessage): OuterIp | undefined {
  const { level, data } = message;
  const ip = arrivedAt(message);
  if (ip === undefined) return undefined;
  const alone =
    level === IPPROTO_IPV6 ? data[0] !== MULTICAST : decodeOuterIpv4(data, IPI_SPEC_DST) === ip;
  return alone ? ip : undefined;
}

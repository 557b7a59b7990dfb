/**
 * Control messages of recvmsg(2) on 64-bit Linux, and what IP_RECVERR puts into one (linux/errqueue.h
 * of 6.1, struct sock_extended_err; the host's byte order):
 *
 *     struct cmsghdr             0 cmsg_len u64    8 level i32   12 type i32   16 data, padded to 8
 *     struct sock_extended_err   0 ee_errno u32    4 ee_origin   5 ee_type     6 ee_code   7 pad
 *                                8 ee_info u32 (the MTU of "too big")         12 ee_data u32
 */
import { decodeOuterIpv4, type OuterIp } from '../../../core/addr.ts';
import { getS32host, getU16host, getU32host, getU64host } from '../../../core/bytes.ts';
import { icmpError, type IcmpError } from '../../../core/wire/icmp-error.ts';
import { CMSGHDR_BYTES, IP_PKTINFO, IPPROTO_IP } from '../../udp/message-headers.ts';

/** linux/in.h */
const IP_RECVERR = 11;
const SO_EE_ORIGIN_ICMP = 2;
const EXTENDED_ERR_BYTES = 16;
const EE_ORIGIN = 4;
const EE_TYPE = 5;
const EE_INFO = 8;
/** Offset in struct in_pktinfo. */
const IPI_ADDR = 8;
/** struct sockaddr_in of linux/in.h: family u16, port u16, address at 4. */
const SOCKADDR_IN_BYTES = 16;
const SIN_ADDR = 4;
const AF_INET = 2;

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
export function receivedError(message: ControlMessage): IcmpError | undefined {
  const { data } = message;
  if (message.level !== IPPROTO_IP || message.type !== IP_RECVERR) return undefined;
  if (data.length < EXTENDED_ERR_BYTES || data[EE_ORIGIN] !== SO_EE_ORIGIN_ICMP) return undefined;
  const [type = 0, code = 0] = data.subarray(EE_TYPE);
  return icmpError({ type, code, nextHopMtu: getU32host(data, EE_INFO), from: offender(data) });
}

/** The address that the error came from (SO_EE_OFFENDER(): a struct sockaddr_in behind the error). */
function offender(data: Uint8Array): OuterIp | undefined {
  const address = data.subarray(EXTENDED_ERR_BYTES);
  return address.length >= SOCKADDR_IN_BYTES && getU16host(address, 0) === AF_INET
    ? decodeOuterIpv4(address, SIN_ADDR)
    : undefined;
}

/**
 * The address that an ICMP error came to: ours. Of its struct in_pktinfo only ipi_addr is set (6.1,
 * ip_recv_error() of net/ipv4/ip_sockglue.c); undefined for any other message.
 */
export function arrivedAt({ level, type, data }: ControlMessage): OuterIp | undefined {
  const found = level === IPPROTO_IP && type === IP_PKTINFO && data.length >= IPI_ADDR + 4;
  return found ? decodeOuterIpv4(data, IPI_ADDR) : undefined;
}

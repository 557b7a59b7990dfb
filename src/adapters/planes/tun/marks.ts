import type { Family } from '../../../core/addr.ts';
import { encodeU32host } from '../../../core/bytes.ts';
import { setsockopt } from '../../ffi/libc.ts';
import { IPPROTO_IP, IPPROTO_IPV6 } from '../../udp/message-headers.ts';

/** linux/in.h */
const IP_RECVTOS = 13;
/** linux/in6.h */
const IPV6_FLOWINFO_SEND = 33;
const IPV6_RECVHOPOPTS = 53;
const IPV6_RECVRTHDR = 56;
const IPV6_RECVDSTOPTS = 58;
const IPV6_RECVTCLASS = 66;
const IPV6_RECVFRAGSIZE = 77;

/**
 * Has a socket tell the congestion mark of what it receives (ecn.ts); one of IPv6 also what came in fragments or with
 * extension headers, and send with the flow label of a message's address (flow-label.ts). Where the kernel refuses, the
 * one is not known and the other the kernel's own.
 */
export function hearMarks(fd: number, family: Family): void {
  const on = encodeU32host(1);
  const [level, options] = family === 'ipv4' ? [IPPROTO_IP, OF_IPV4] : [IPPROTO_IPV6, OF_IPV6];
  for (const option of options) setsockopt(fd, level, option, on, on.length);
}

const OF_IPV4 = [IP_RECVTOS];
const OF_IPV6 = [
  IPV6_FLOWINFO_SEND,
  IPV6_RECVHOPOPTS,
  IPV6_RECVRTHDR,
  IPV6_RECVDSTOPTS,
  IPV6_RECVTCLASS,
  IPV6_RECVFRAGSIZE,
];

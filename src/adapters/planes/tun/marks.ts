import { encodeU32host } from '../../../core/bytes.ts';
import { setsockopt } from '../../ffi/libc.ts';
import { IPPROTO_IPV6 } from '../../udp/message-headers.ts';

/** linux/in6.h */
const IPV6_FLOWINFO_SEND = 33;
const IPV6_RECVHOPOPTS = 53;
const IPV6_RECVRTHDR = 56;
const IPV6_RECVDSTOPTS = 58;
const IPV6_RECVTCLASS = 66;
const IPV6_RECVFRAGSIZE = 77;

/**
 * Has a socket of IPv6 tell the traffic class of what it receives (ecn.ts), and what came in fragments or with extension
 * headers, and send with the flow label of a message's address (flow-label.ts). Where the kernel refuses, the one is not
 * known and the other the kernel's own.
 */
export function hearMarks(fd: number): void {
  const on = encodeU32host(1);
  for (const option of WANTED) {
    setsockopt(fd, IPPROTO_IPV6, option, on, on.length);
  }
}

const WANTED = [
  IPV6_FLOWINFO_SEND,
  IPV6_RECVHOPOPTS,
  IPV6_RECVRTHDR,
  IPV6_RECVDSTOPTS,
  IPV6_RECVTCLASS,
  IPV6_RECVFRAGSIZE,
];

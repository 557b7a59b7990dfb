import { formatEndpoint, ipv4ToNumber } from '../../core/addr.ts';
import { encodeU32host } from '../../core/bytes.ts';
import { KernelError } from '../../core/errors.ts';
import { encodeSockaddrIn, SOCKADDR_IN_LENGTH } from '../../core/wire/sockaddr.ts';
import type { OutgoingControl } from '../../ports/data-plane.ts';
import { address, errno, sendmsg, setsockopt } from '../ffi/libc.ts';
import {
  encodeIovec,
  encodeMessage,
  encodePktinfo,
  encodeTtl,
  INT_SPACE,
  IPPROTO_IP,
  IOVEC_BYTES,
  MMSGHDR_BYTES,
  pinned,
  PKTINFO_SPACE,
} from './message-headers.ts';

/** linux/in.h */
export const IP_MTU_DISCOVER = 10;
/** Always DF, and EMSGSIZE for what is larger than the path's MTU as the kernel knows it. */
export const IP_PMTUDISC_DO = 2;
/** Always DF, whatever the kernel knows. */
const IP_PMTUDISC_PROBE = 3;

/** bits/socket.h */
const MSG_DONTWAIT = 0x40;

/**
 * Sends one packet from the socket's port and the path's local address; errno, or 0. Control packets
 * are rare, so every one builds its own headers. A probe goes out whole or not at all: while it is sent
 * the socket has another way of path MTU discovery.
 */
export function sendControl(fd: number, packet: OutgoingControl): number {
  if (packet.probe !== true) return sendMessage(fd, packet);
  discover(fd, IP_PMTUDISC_PROBE);
  try {
    return sendMessage(fd, packet);
  } finally {
    discover(fd, IP_PMTUDISC_DO);
  }
}

/** What a packet that `sendControl` could not send is told as. */
export function sendFailure({ path }: OutgoingControl, errno: string): KernelError {
  const { local, remote } = path;
  const subject = `packet from ${formatEndpoint(local)} to ${formatEndpoint(remote)}`;
  return new KernelError('sendAuth', { operation: 'sendmsg', errno, subject });
}

function discover(fd: number, mode: number): void {
  const value = encodeU32host(mode);
  setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, value, value.length);
}

function sendMessage(fd: number, packet: OutgoingControl): number {
  const name = pinned(SOCKADDR_IN_LENGTH);
  const control = pinned(PKTINFO_SPACE + INT_SPACE);
  // An empty buffer has no address; its iovec is not looked at.
  const payload = pinned(Math.max(1, packet.payload.length));
  const iovec = pinned(IOVEC_BYTES);
  const message = pinned(MMSGHDR_BYTES);
  name.set(encodeSockaddrIn(packet.path.remote));
  encodePktinfo(control, ipv4ToNumber(packet.path.local.ip));
  if (packet.ttl !== undefined) encodeTtl(control, PKTINFO_SPACE, packet.ttl);
  payload.set(packet.payload);
  encodeIovec(iovec, address(payload), packet.payload.length);
  encodeMessage(
    message,
    { name: address(name), iovec: address(iovec), control: address(control) },
    packet.ttl === undefined ? PKTINFO_SPACE : PKTINFO_SPACE + INT_SPACE,
  );
  return sendmsg(fd, message, MSG_DONTWAIT) < 0 ? errno() : 0;
}

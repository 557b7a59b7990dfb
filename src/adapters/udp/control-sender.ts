import { encodeIp, familyOf, formatEndpoint, ipv4ToNumber, type Family } from '../../core/addr.ts';
import { encodeU32host } from '../../core/bytes.ts';
import { KernelError } from '../../core/errors.ts';
import { encodeSockaddr } from '../../core/wire/sockaddr.ts';
import type { OutgoingControl } from '../../ports/data-plane.ts';
import { address, errno, sendmsg, setsockopt } from '../ffi/libc.ts';
import {
  encodeHopLimit,
  encodeIovec,
  encodeMessage,
  encodePktinfo,
  encodePktinfo6,
  encodeTtl,
  INT_SPACE,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IOVEC_BYTES,
  MMSGHDR_BYTES,
  pinned,
  PKTINFO6_SPACE,
  PKTINFO_SPACE,
} from './message-headers.ts';

/** linux/in.h */
const IP_MTU_DISCOVER = 10;
/** linux/in6.h */
const IPV6_MTU_DISCOVER = 23;

/** How a socket heeds the MTU of paths, by the same numbers in both families (linux/in.h, in6.h). */
export const DISCOVERY = {
  /** IP_PMTUDISC_DO: never fragmented, and EMSGSIZE for what is larger than the path's MTU as the kernel knows it. */
  heed: 2,
  /** IP_PMTUDISC_PROBE: never fragmented, whatever the kernel knows. */
  probe: 3,
  /** IP_PMTUDISC_DONT: what is larger than the path's MTU goes in fragments, and routers may make more of them. */
  fragment: 0,
} as const;

export type Discovery = keyof typeof DISCOVERY;

/** bits/socket.h */
const MSG_DONTWAIT = 0x40;

/** Sets how a socket of a family heeds the MTU of paths; below 0 with errno set when refused. */
export function discover(fd: number, family: Family, mode: Discovery): number {
  const value = encodeU32host(DISCOVERY[mode]);
  return family === 'ipv4'
    ? setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, value, value.length)
    : setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, value, value.length);
}

/**
 * Sends one packet from the socket's port and the path's local address, by a socket of the path's family; errno,
 * or 0. Control packets are rare, so every one builds its own headers. A probe goes out whole or not at all: while
 * it is sent the socket has another way of path MTU discovery than `usual`.
 */
export function sendControl(
  fd: number,
  packet: OutgoingControl,
  usual: Discovery = 'heed',
): number {
  if (packet.probe !== true) return sendMessage(fd, packet);
  const family = familyOf(packet.path.remote.ip);
  discover(fd, family, 'probe');
  try {
    return sendMessage(fd, packet);
  } finally {
    discover(fd, family, usual);
  }
}

/** What a packet that `sendControl` could not send is told as. */
export function sendFailure({ path }: OutgoingControl, errno: string): KernelError {
  const { local, remote } = path;
  const subject = `packet from ${formatEndpoint(local)} to ${formatEndpoint(remote)}`;
  return new KernelError('sendAuth', { operation: 'sendmsg', errno, subject });
}

function sendMessage(fd: number, packet: OutgoingControl): number {
  const remote = encodeSockaddr(packet.path.remote);
  const name = pinned(remote.length);
  const control = controlOf(packet);
  // An empty buffer has no address; its iovec is not looked at.
  const payload = pinned(Math.max(1, packet.payload.length));
  const iovec = pinned(IOVEC_BYTES);
  const message = pinned(MMSGHDR_BYTES);
  name.set(remote);
  payload.set(packet.payload);
  encodeIovec(iovec, address(payload), packet.payload.length);
  encodeMessage(
    message,
    {
      name: address(name),
      nameLength: name.length,
      iovec: address(iovec),
      control: address(control),
    },
    control.length,
  );
  return sendmsg(fd, message, MSG_DONTWAIT) < 0 ? errno() : 0;
}

/** The control messages of the source address and, where it is given, the TTL. */
function controlOf({ path: { local }, ttl }: OutgoingControl): Uint8Array {
  const ipv4 = familyOf(local.ip) === 'ipv4';
  const source = ipv4 ? PKTINFO_SPACE : PKTINFO6_SPACE;
  const control = pinned(source + (ttl === undefined ? 0 : INT_SPACE));
  if (ipv4) encodePktinfo(control, ipv4ToNumber(local.ip));
  else encodePktinfo6(control, encodeIp(local.ip));
  if (ttl === undefined) return control;
  if (ipv4) encodeTtl(control, source, ttl);
  else encodeHopLimit(control, source, ttl);
  return control;
}

import type { ExitName } from '../../core/exit-codes.ts';
import { encodeU16host, encodeU32host, getU32host } from '../../core/bytes.ts';
import { NETLINK_ROUTE } from '../../core/netlink/message.ts';
import { checked } from '../ffi/errno.ts';
import { bind, close, getsockname, setsockopt, socket } from '../ffi/libc.ts';

// sys/socket.h
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
// linux/netlink.h
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
/** sizeof(struct sockaddr_nl): family, padding, port, groups. */
const SOCKADDR_NL_LENGTH = 12;

const DEFAULT_RECEIVE_BUFFER = 4 << 20;

export type DescriptorOptions = {
  /** NETLINK_ROUTE, NETLINK_NETFILTER, … */
  readonly family: number;
  /** Multicast groups by number (RTNLGRP_*), not by bit. */
  readonly groups?: readonly number[];
  /** What this socket is about, for errors. */
  readonly subject: string;
  /** Bytes the kernel may hold for us; 4 MiB by default. */
  readonly receiveBuffer?: number;
};

/** A bound, non-blocking descriptor, which the caller closes, and the port the kernel gave it. */
export function openDescriptor(
  options: DescriptorOptions,
  exit: ExitName,
): { readonly fd: number; readonly port: number } {
  const { family, subject } = options;
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = checked(socket(AF_NETLINK, type, family), 'socket(AF_NETLINK)', subject, exit);
  try {
    setOptions(fd, options);
    return { fd, port: bindPort(fd, options, exit) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

function setOptions(fd: number, options: DescriptorOptions): void {
  const set = (level: number, name: number, value: number): number =>
    setsockopt(fd, level, name, encodeU32host(value), 4);
  const room = options.receiveBuffer ?? DEFAULT_RECEIVE_BUFFER;
  // Beyond net.core.rmem_max needs CAP_NET_ADMIN; without it the limit is what there is.
  if (set(SOL_SOCKET, SO_RCVBUFFORCE, room) < 0) set(SOL_SOCKET, SO_RCVBUF, room);
  // Older kernels lack these; without them errors only say less and dumps filter less.
  set(SOL_NETLINK, NETLINK_CAP_ACK, 1);
  set(SOL_NETLINK, NETLINK_EXT_ACK, 1);
  if (options.family === NETLINK_ROUTE) set(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
}

function bindPort(fd: number, options: DescriptorOptions, exit: ExitName): number {
  const { subject, groups = [] } = options;
  const address = new Uint8Array(SOCKADDR_NL_LENGTH);
  address.set(encodeU16host(AF_NETLINK), 0);
  checked(bind(fd, address, address.length), 'bind(AF_NETLINK)', subject, exit);
  for (const group of groups) {
    const result = setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, encodeU32host(group), 4);
    checked(result, 'NETLINK_ADD_MEMBERSHIP', subject, exit);
  }
  const length = encodeU32host(SOCKADDR_NL_LENGTH);
  checked(getsockname(fd, address, length), 'getsockname(AF_NETLINK)', subject, exit);
  return getU32host(address, 4);
}

/**
 * Transmit checksum offload of a device (ETHTOOL_GTXCSUM and ETHTOOL_STXCSUM of linux/ethtool.h 6.1,
 * by SIOCETHTOOL): whether the kernel leaves checksums of packets sent by it to whatever comes after.
 *
 * The request is a struct ifreq, 16 bytes of name and a pointer to a struct ethtool_value:
 *
 *     +----------------------+   +----------------------+
 *     | cmd  (u32host)       |   | data (u32host)       |
 *     +----------------------+   +----------------------+
 */
import { encodeU32host, encodeU64host, getU32host } from '../core/bytes.ts';
import { AF_INET } from '../core/wire/sockaddr.ts';
import { checked } from './ffi/errno.ts';
import { address, close, ioctl, socket } from './ffi/libc.ts';

// sys/socket.h, linux/sockios.h, linux/if.h
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SIOCETHTOOL = 0x8946;
const IFNAMSIZ = 16;
/** sizeof(struct ifreq) on 64-bit machines. */
const IFREQ_LENGTH = 40;

const ETHTOOL_GTXCSUM = 0x16;
const ETHTOOL_STXCSUM = 0x17;

/** Throws KernelError (exit `link`) when there is no such device in this namespace. */
export function transmitChecksumOffload(device: string): boolean {
  return ethtool(device, 'ETHTOOL_GTXCSUM', ETHTOOL_GTXCSUM, 0) !== 0;
}

/**
 * Needs CAP_NET_ADMIN. Without the offload the kernel also cuts aggregated packets up before this
 * device, which costs some throughput. Throws KernelError (exit `link`).
 */
export function setTransmitChecksumOffload(device: string, on: boolean): void {
  ethtool(device, 'ETHTOOL_STXCSUM', ETHTOOL_STXCSUM, on ? 1 : 0);
}

/** One command of struct ethtool_value; its value after. Throws KernelError (exit `link`). */
export function ethtool(device: string, operation: string, command: number, data: number): number {
  const subject = `link ${device}`;
  const name = new TextEncoder().encode(device);
  if (name.length >= IFNAMSIZ) throw new RangeError(`device name ${device}`);
  const value = new Uint8Array(8);
  value.set(encodeU32host(command), 0);
  value.set(encodeU32host(data), 4);
  const request = new Uint8Array(IFREQ_LENGTH);
  request.set(name, 0);
  request.set(encodeU64host(address(value)), IFNAMSIZ);
  const fd = checked(
    socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
    'socket(SOCK_DGRAM)',
    subject,
    'link',
  );
  try {
    checked(ioctl(fd, SIOCETHTOOL, request), operation, subject, 'link');
  } finally {
    close(fd);
  }
  return getU32host(value, 4);
}

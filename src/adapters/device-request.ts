import { AF_INET } from '../core/wire/sockaddr.ts';
import { checked } from './ffi/errno.ts';
import { close, ioctl, socket } from './ffi/libc.ts';

// sys/socket.h, linux/if.h
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const IFNAMSIZ = 16;
/** sizeof(struct ifreq) on 64-bit machines. */
const IFREQ_LENGTH = 40;

/** Where what a struct ifreq has besides the name begins. */
export const IFREQ_DATA_AT = IFNAMSIZ;

/**
 * Asks for something of a device by an ioctl with a struct ifreq (linux/if.h), in the network namespace of
 * the calling thread: the name, then `data` (at most 24 bytes). Returns the struct as the kernel left it.
 * Throws KernelError (exit `link`) that names the operation, RangeError for a name that no device can have.
 */
export function deviceRequest(
  device: string,
  operation: string,
  code: number,
  data: Uint8Array = new Uint8Array(),
): Uint8Array {
  const subject = `link ${device}`;
  const name = new TextEncoder().encode(device);
  if (name.length >= IFNAMSIZ) throw new RangeError(`device name ${device}`);
  const request = new Uint8Array(IFREQ_LENGTH);
  request.set(name, 0);
  request.set(data, IFREQ_DATA_AT);
  const type = SOCK_DGRAM | SOCK_CLOEXEC;
  const fd = checked(socket(AF_INET, type, 0), 'socket(SOCK_DGRAM)', subject, 'link');
  try {
    checked(ioctl(fd, code, request), operation, subject, 'link');
  } finally {
    close(fd);
  }
  return request;
}

import { KernelError } from '../../../core/errors.ts';
import { EAGAIN, EINTR, systemError } from '../../ffi/errno.ts';
import { close, errno, ioctl, open, read, write } from '../../ffi/libc.ts';
import { littleEndian } from './message-headers.ts';
import type { LossHandler, PacketBatch, PacketSink, PacketSource } from './packet-batch.ts';
import { describeHolder } from './tun-holder.ts';

export const TUN_PATH = '/dev/net/tun';

/** fcntl.h */
const O_RDWR = 0o2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

/** linux/if_tun.h (6.1); TUNSETIFF is _IOW('T', 202, int). */
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
/** Fail with EBUSY where a device of that name exists, instead of attaching to it. */
const IFF_TUN_EXCL = 0x8000;

/** struct ifreq (linux/if.h): the name, 16 bytes with its NUL, then a union; flags come first in it. */
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;

/** Opens /dev/net/tun, non-blocking; a descriptor that the caller closes. No device is made yet. */
export function openTun(): number {
  const fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0) return fd;
  const error = systemError('open', TUN_PATH, 'createTunnel');
  throw new KernelError('createTunnel', error, { hint: tunHint(error.errno), cause: error });
}

/** What to do when /dev/net/tun does not open. */
export function tunHint(errnoText: string): string {
  switch (errnoText) {
    case 'ENOENT':
    case 'ENODEV':
    case 'ENXIO':
      return 'load the module with "modprobe tun"; in a container, pass the device /dev/net/tun in';
    case 'EACCES':
    case 'EPERM':
      return 'run as root, and allow /dev/net/tun in the container';
    default:
      return 'see whether /dev/net/tun is the character device 10:200';
  }
}

/**
 * Makes a TUN device in this thread's network namespace and returns the descriptor that carries its
 * packets. The device lives as long as the descriptor: closing it removes the device.
 */
export function createTunDevice(name: string): number {
  const fd = openTun();
  const request = new Uint8Array(IFREQ_BYTES);
  new TextEncoder().encodeInto(name, request.subarray(0, IFNAMSIZ - 1));
  new DataView(request.buffer).setUint16(
    IFNAMSIZ,
    IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL,
    littleEndian,
  );
  if (ioctl(fd, TUNSETIFF, request) >= 0) return fd;
  const error = systemError('TUNSETIFF', `link ${name}`, 'createTunnel');
  close(fd);
  if (error.errno === 'EBUSY') throw deviceExists(name, 'TUNSETIFF');
  const hint =
    error.errno === 'EPERM'
      ? 'run as root, or with CAP_NET_ADMIN'
      : 'see whether tunl-dev is a name that a device may have';
  throw new KernelError('createTunnel', error, { hint, cause: error });
}

/** A device of that name is there already and is not ours. */
export function deviceExists(name: string, operation: string): KernelError {
  return new KernelError(
    'link',
    { operation, errno: 'EEXIST', subject: `link ${name}`, words: describeHolder(name) },
    { hint: `stop what made it, remove it with "ip link del ${name}", or choose another tunl-dev` },
  );
}

/** A TUN descriptor as source and sink, one packet a system call. Does not own the descriptor. */
export class TunChannel implements PacketSource, PacketSink {
  readonly #fd: number;
  readonly #lost: LossHandler;
  /** Set once the kernel has answered a read with anything but packets: the device is gone. */
  broken = false;

  constructor(fd: number, lost: LossHandler) {
    this.#fd = fd;
    this.#lost = lost;
  }

  readBatch(into: PacketBatch): number {
    into.count = 0;
    for (const [index, slot] of into.slots.entries()) {
      const length = read(this.#fd, slot, slot.length);
      if (length < 0) {
        const code = errno();
        if (code === EINTR || code === EAGAIN) break;
        this.broken = true;
        this.#lost('read', code);
        break;
      }
      into.lengths[index] = length;
      into.count = index + 1;
    }
    return into.count;
  }

  writeBatch(from: PacketBatch): number {
    let taken = 0;
    for (let index = 0; index < from.count; index += 1) {
      const length = from.lengths[index] ?? 0;
      const slot = from.slots[index];
      if (length === 0 || !slot) continue;
      if (write(this.#fd, slot, length) >= 0) taken += 1;
      else this.#lost('write', errno());
    }
    return taken;
  }
}

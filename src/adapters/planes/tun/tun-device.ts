import { KernelError } from '../../../core/errors.ts';
import { systemError } from '../../ffi/errno.ts';
import { close, ioctl, ioctlValue, open } from '../../ffi/libc.ts';
import { littleEndian } from '../../udp/message-headers.ts';
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
const IFF_VNET_HDR = 0x4000;
/** Fail with EBUSY where a device of that name exists, instead of attaching to it. */
const IFF_TUN_EXCL = 0x8000;

/** TUNSETOFFLOAD is _IOW('T', 208, unsigned int); USO is there from Linux 6.2 on, both or none. */
const TUNSETOFFLOAD = 0x400454d0;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_TSO_ECN = 0x08;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

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
 * packets. The device lives as long as the descriptor: closing it removes the device. With `vnetHeader`
 * every packet has a virtio_net_hdr before it, and the kernel hands out super-packets as far as it can, `ipv6` also of
 * IPv6.
 */
export function createTunDevice(name: string, vnetHeader: boolean, ipv6 = false): number {
  const fd = openTun();
  const request = new Uint8Array(IFREQ_BYTES);
  new TextEncoder().encodeInto(name, request.subarray(0, IFNAMSIZ - 1));
  new DataView(request.buffer).setUint16(
    IFNAMSIZ,
    IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL | (vnetHeader ? IFF_VNET_HDR : 0),
    littleEndian,
  );
  if (ioctl(fd, TUNSETIFF, request) >= 0) {
    if (vnetHeader) takeSuperPackets(fd, ipv6);
    return fd;
  }
  const error = systemError('TUNSETIFF', `link ${name}`, 'createTunnel');
  close(fd);
  if (error.errno === 'EBUSY') throw deviceExists(name, 'TUNSETIFF');
  const hint =
    error.errno === 'EPERM'
      ? 'run as root, or with CAP_NET_ADMIN'
      : 'see whether tunl-dev is a name that a device may have';
  throw new KernelError('createTunnel', error, { hint, cause: error });
}

/** Without any of it the device works too, with a packet to every read. */
function takeSuperPackets(fd: number, ipv6: boolean): void {
  const tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN | (ipv6 ? TUN_F_TSO6 : 0);
  if (ioctlValue(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) >= 0) return;
  ioctlValue(fd, TUNSETOFFLOAD, tcp);
}

/** A device of that name is there already and is not ours. */
export function deviceExists(name: string, operation: string): KernelError {
  return new KernelError(
    'link',
    { operation, errno: 'EEXIST', subject: `link ${name}`, words: describeHolder(name) },
    { hint: `stop what made it, remove it with "ip link del ${name}", or choose another tunl-dev` },
  );
}

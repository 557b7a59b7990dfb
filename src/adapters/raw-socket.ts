import { familyOf, formatEndpoint, type Family, type Path } from '../core/addr.ts';
import { encodeU32host } from '../core/bytes.ts';
import { KernelError } from '../core/errors.ts';
import { addressFamily, encodeSockaddr } from '../core/wire/sockaddr.ts';
import { encodeUdpPacket } from '../core/wire/udp.ts';
import { checked, EINTR, systemError } from './ffi/errno.ts';
import { close, errno, sendto, setsockopt, socket } from './ffi/libc.ts';

// sys/socket.h, netinet/in.h
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
/** Implies that the header is given, of either family (raw(7), inet6_create()). Such a socket receives nothing. */
const IPPROTO_RAW = 255;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_WANT = 1;
const IP_PMTUDISC_PROBE = 3;
/** What a kernel without IPv6 says. */
const EAFNOSUPPORT = 97;

export type RawUdpPacket = {
  /** Sent from `local` to `remote`; `local` need not be free: that is the use of it. */
  readonly path: Path;
  /** At most what the outer path takes: the kernel does not fragment what has its header already. */
  readonly payload: Uint8Array;
  /** TTL, or hop limit: 1..255. */
  readonly ttl: number;
  /** Leaves by this device whatever the routes say. */
  readonly device?: string | undefined;
  /**
   * Sent whole or not at all, whatever MTU is remembered for the path (IP_PMTUDISC_PROBE, ip(7)). Packets of
   * IPv6 always are: the kernel asks the device alone (rawv6_send_hdrinc()).
   */
  readonly probe?: boolean | undefined;
};

/** Sends UDP datagrams from ports that other sockets hold. */
export interface RawUdp extends Disposable {
  /** Throws KernelError (exit `sendAuth`) when the kernel does not take the packet. */
  send(packet: RawUdpPacket): void;
  close(): void;
}

/** Needs CAP_NET_RAW. Sends in the network namespace it was opened in, by IPv6 where the kernel has that. */
export function openRawUdp(): RawUdp {
  const ipv4 = openRaw('ipv4');
  if (ipv4 === undefined) throw systemError('socket(SOCK_RAW)', 'raw socket', 'sendAuth');
  let ipv6: RawSocket | undefined;
  try {
    ipv6 = openRaw('ipv6');
  } catch (error) {
    ipv4.close();
    throw error;
  }
  let open = true;

  function closeOnce(): void {
    if (!open) return;
    open = false;
    ipv4?.close();
    ipv6?.close();
  }

  return {
    send(packet) {
      if (!open) throw new Error('the raw socket is closed');
      const raw = familyOf(packet.path.remote.ip) === 'ipv4' ? ipv4 : ipv6;
      if (raw === undefined) {
        throw new KernelError('sendAuth', {
          operation: 'socket(SOCK_RAW)',
          errno: 'EAFNOSUPPORT',
          subject: subjectOf(packet),
        });
      }
      raw.send(packet);
    },
    close: closeOnce,
    [Symbol.dispose]: closeOnce,
  };
}

type RawSocket = { send(packet: RawUdpPacket): void; close(): void };

/** undefined where the kernel has not the family. */
function openRaw(family: Family): RawSocket | undefined {
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const opened = socket(addressFamily(family), type, IPPROTO_RAW);
  if (opened < 0 && errno() === EAFNOSUPPORT) return undefined;
  const fd = checked(opened, 'socket(SOCK_RAW)', 'raw socket', 'sendAuth');
  let boundTo = '';
  let discovery: number | undefined;

  function bindTo(device: string): void {
    if (device === boundTo) return;
    const name = new TextEncoder().encode(`${device}\0`);
    const result = setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
    checked(result, 'SO_BINDTODEVICE', `raw socket on ${device}`, 'sendAuth');
    boundTo = device;
  }

  function discover(mode: number): void {
    if (family === 'ipv6' || mode === discovery) return;
    const result = setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, encodeU32host(mode), 4);
    checked(result, 'IP_MTU_DISCOVER', 'raw socket', 'sendAuth');
    discovery = mode;
  }

  return {
    send(packet) {
      const { path, payload, ttl, device, probe = false } = packet;
      bindTo(device ?? '');
      discover(probe ? IP_PMTUDISC_PROBE : IP_PMTUDISC_WANT);
      const bytes = encodeUdpPacket({ path, payload, ttl, dontFragment: probe, checksum: true });
      // The port is in the packet; the kernel wants none here.
      const to = encodeSockaddr({ ip: path.remote.ip, port: 0 });
      while (sendto(fd, bytes, bytes.length, 0, to, to.length) < 0) {
        if (errno() !== EINTR) throw systemError('sendto', subjectOf(packet), 'sendAuth');
      }
    },
    close: () => void close(fd),
  };
}

function subjectOf({ path }: RawUdpPacket): string {
  return `packet ${formatEndpoint(path.local)} to ${formatEndpoint(path.remote)}`;
}

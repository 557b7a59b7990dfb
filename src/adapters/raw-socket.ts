import { formatEndpoint, type Path } from '../core/addr.ts';
import { encodeU32host } from '../core/bytes.ts';
import { AF_INET, encodeSockaddrIn, SOCKADDR_IN_LENGTH } from '../core/wire/sockaddr.ts';
import { encodeUdpPacket } from '../core/wire/udp.ts';
import { checked, EINTR, systemError } from './ffi/errno.ts';
import { close, errno, sendto, setsockopt, socket } from './ffi/libc.ts';

// sys/socket.h, netinet/in.h
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
/** Implies IP_HDRINCL (raw(7)). Such a socket receives nothing. */
const IPPROTO_RAW = 255;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_WANT = 1;
const IP_PMTUDISC_PROBE = 3;

export type RawUdpPacket = {
  /** Sent from `local` to `remote`; `local` need not be free: that is the use of it. */
  readonly path: Path;
  /** At most what the outer path takes: the kernel does not fragment what has its header already. */
  readonly payload: Uint8Array;
  /** 1..255. */
  readonly ttl: number;
  /** Leaves by this device whatever the routes say. */
  readonly device?: string | undefined;
  /** Sent whole or not at all, whatever MTU is remembered for the path (IP_PMTUDISC_PROBE, ip(7)). */
  readonly probe?: boolean | undefined;
};

/** Sends UDP datagrams from ports that other sockets hold. */
export interface RawUdp extends Disposable {
  /** Throws KernelError (exit `sendAuth`) when the kernel does not take the packet. */
  send(packet: RawUdpPacket): void;
  close(): void;
}

/** Needs CAP_NET_RAW. Sends in the network namespace it was opened in. */
export function openRawUdp(): RawUdp {
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = checked(
    socket(AF_INET, type, IPPROTO_RAW),
    'socket(SOCK_RAW)',
    'raw socket',
    'sendAuth',
  );
  let boundTo = '';
  let discovery: number | undefined;
  let open = true;

  function bindTo(device: string): void {
    if (device === boundTo) return;
    const name = new TextEncoder().encode(`${device}\0`);
    const result = setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
    checked(result, 'SO_BINDTODEVICE', `raw socket on ${device}`, 'sendAuth');
    boundTo = device;
  }

  function discover(mode: number): void {
    if (mode === discovery) return;
    const result = setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, encodeU32host(mode), 4);
    checked(result, 'IP_MTU_DISCOVER', 'raw socket', 'sendAuth');
    discovery = mode;
  }

  function closeOnce(): void {
    if (open) close(fd);
    open = false;
  }

  return {
    send({ path, payload, ttl, device, probe = false }) {
      if (!open) throw new Error('the raw socket is closed');
      bindTo(device ?? '');
      discover(probe ? IP_PMTUDISC_PROBE : IP_PMTUDISC_WANT);
      const packet = encodeUdpPacket({ path, payload, ttl, dontFragment: probe, checksum: true });
      // The port is in the packet; the kernel wants none here.
      const to = encodeSockaddrIn({ ip: path.remote.ip, port: 0 });
      while (sendto(fd, packet, packet.length, 0, to, SOCKADDR_IN_LENGTH) < 0) {
        if (errno() === EINTR) continue;
        const subject = `packet ${formatEndpoint(path.local)} to ${formatEndpoint(path.remote)}`;
        throw systemError('sendto', subject, 'sendAuth');
      }
    },
    close: closeOnce,
    [Symbol.dispose]: closeOnce,
  };
}

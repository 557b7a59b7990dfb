import { formatEndpoint, type Path } from '../core/addr.ts';
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

export type RawUdpPacket = {
  /** Sent from `local` to `remote`; `local` need not be free: that is the use of it. */
  readonly path: Path;
  /** At most what the outer path takes: the kernel does not fragment what has its header already. */
  readonly payload: Uint8Array;
  /** 1..255. */
  readonly ttl: number;
  /** Leaves by this device whatever the routes say. */
  readonly device?: string | undefined;
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
  let open = true;

  function bindTo(device: string): void {
    if (device === boundTo) return;
    const name = new TextEncoder().encode(`${device}\0`);
    const result = setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
    checked(result, 'SO_BINDTODEVICE', `raw socket on ${device}`, 'sendAuth');
    boundTo = device;
  }

  function closeOnce(): void {
    if (open) close(fd);
    open = false;
  }

  return {
    send({ path, payload, ttl, device }) {
      if (!open) throw new Error('the raw socket is closed');
      bindTo(device ?? '');
      const packet = encodeUdpPacket({ path, payload, ttl, dontFragment: false, checksum: true });
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

import type { OuterIp } from '../../core/addr.ts';
import type { OuterConfig } from '../../core/config/tunnel-config.ts';
import { KernelError } from '../../core/errors.ts';
import type { ExitName } from '../../core/exit-codes.ts';
import { AF_INET, encodeSockaddrIn } from '../../core/wire/sockaddr.ts';
import { checked } from '../ffi/errno.ts';
import { bind, close, setsockopt, socket } from '../ffi/libc.ts';
import { IP_MTU_DISCOVER, IP_PMTUDISC_DO } from './control-sender.ts';
import { IP_PKTINFO, IPPROTO_IP, SOL_UDP, UDP_GRO, UDP_SEGMENT } from './message-headers.ts';

/** bits/socket_type.h */
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

/** asm-generic/socket.h */
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_NO_CHECK = 11;
const SO_BINDTODEVICE = 25;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

/**
 * Buffers, bytes: 30 ms of a 1 Gbit/s link. The kernel doubles them for its bookkeeping (socket(7));
 * SO_RCVBUFFORCE and SO_SNDBUFFORCE pass net.core.{r,w}mem_max as root.
 */
const BUFFER_BYTES = 4 * 1024 * 1024;

/** How a socket gives and takes many datagrams at once. */
export type Trains = {
  /** UDP_SEGMENT on sending; else sendmmsg of single datagrams. */
  readonly segmentation: boolean;
  /** UDP_GRO on receiving; else recvmmsg of single datagrams. */
  readonly aggregation: boolean;
};

export type TunnelSocket = { readonly fd: number } & Trains;

/**
 * The tunnel's UDP socket, bound and non-blocking, in this thread's network namespace. The caller
 * closes it. It is not connected, so an ICMP error about one peer never comes up as an error of
 * the socket.
 */
export function openTunnelSocket(outer: OuterConfig, wanted: Trains): TunnelSocket {
  const ip = outer.localIp ?? ('0.0.0.0' as OuterIp);
  const subject = `UDP socket ${ip}:${outer.localPort}`;
  const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = checked(socket(AF_INET, type, 0), 'socket', subject, 'fou');
  try {
    if (outer.device !== undefined) bindToDevice(fd, outer.device, subject);
    set(fd, IPPROTO_IP, IP_PKTINFO, 1, 'IP_PKTINFO', subject);
    set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, 'IP_MTU_DISCOVER', subject);
    if (outer.udpChecksum === false) set(fd, SOL_SOCKET, SO_NO_CHECK, 1, 'SO_NO_CHECK', subject);
    setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, subject);
    setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, subject);
    bindTo(fd, ip, outer.localPort, subject);
    return { fd, ...offloadsOf(fd, outer, wanted) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Turns on what is wanted and there. UDP_SEGMENT needs checksums: the kernel refuses it without. */
function offloadsOf(fd: number, outer: OuterConfig, wanted: Trains): Trains {
  const off = int(0);
  const on = int(1);
  return {
    segmentation:
      wanted.segmentation &&
      outer.udpChecksum !== false &&
      setsockopt(fd, SOL_UDP, UDP_SEGMENT, off, off.length) === 0,
    aggregation: wanted.aggregation && setsockopt(fd, SOL_UDP, UDP_GRO, on, on.length) === 0,
  };
}

function bindTo(fd: number, ip: OuterIp, port: number, subject: string): void {
  const address = encodeSockaddrIn({ ip, port });
  withHint(
    {
      EADDRINUSE: `another program has the port (see "ss -ulnp sport = :${port}"): stop it, or choose another fou-local-port`,
      EADDRNOTAVAIL: `fou-local-ip ${ip} is no address of this host: add it, or leave fou-local-ip out`,
      EACCES:
        'ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE: give it, or choose another fou-local-port',
    },
    () => checked(bind(fd, address, address.length), 'bind', subject, 'fou'),
  );
}

function bindToDevice(fd: number, device: string, subject: string): void {
  const name = new TextEncoder().encode(`${device}\0`);
  withHint(
    {
      ENODEV: `there is no device ${device}: see fou-dev and "ip link"`,
      EPERM: 'run as root, or with CAP_NET_RAW',
    },
    () =>
      checked(
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length),
        'SO_BINDTODEVICE',
        subject,
        'fou',
      ),
  );
}

/** The size passes the system's limit where we may do that, else comes as near as it lets us. */
function setBuffer(fd: number, force: number, plain: number, subject: string): void {
  const value = int(BUFFER_BYTES);
  if (setsockopt(fd, SOL_SOCKET, force, value, value.length) === 0) return;
  checked(setsockopt(fd, SOL_SOCKET, plain, value, value.length), 'SO_*BUF', subject, 'fou');
}

function set(
  fd: number,
  level: number,
  name: number,
  value: number,
  operation: string,
  subject: string,
): void {
  const bytes = int(value);
  checked(setsockopt(fd, level, name, bytes, bytes.length), operation, subject, 'fou');
}

function int(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/** What a refusal is about, where it is not the port. */
const EXIT_OF: Readonly<Record<string, ExitName>> = { EADDRNOTAVAIL: 'address', ENODEV: 'link' };

function withHint(hints: Readonly<Record<string, string>>, act: () => void): void {
  try {
    act();
  } catch (error) {
    const hint = error instanceof KernelError ? hints[error.errno] : undefined;
    if (!(error instanceof KernelError) || hint === undefined) throw error;
    throw new KernelError(EXIT_OF[error.errno] ?? error.exit, error, { hint, cause: error });
  }
}

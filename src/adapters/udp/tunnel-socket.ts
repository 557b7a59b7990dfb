import { formatEndpoint, ofFamily, type Family, type OuterIp } from '../../core/addr.ts';
import type { OuterConfig } from '../../core/config/tunnel-config.ts';
import { KernelError } from '../../core/errors.ts';
import type { ExitName } from '../../core/exit-codes.ts';
import { addressFamily, encodeSockaddr } from '../../core/wire/sockaddr.ts';
import type { Port } from '../../core/units.ts';
import { checked } from '../ffi/errno.ts';
import { bind, close, setsockopt, socket } from '../ffi/libc.ts';
import { discover, type Discovery } from './control-sender.ts';
import {
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  SOL_UDP,
  UDP_GRO,
  UDP_SEGMENT,
} from './message-headers.ts';

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

/** linux/in.h, linux/in6.h */
const IP_RECVERR = 11;
const IPV6_RECVERR = 25;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
/** linux/udp.h */
const UDP_NO_CHECK6_TX = 101;
const UDP_NO_CHECK6_RX = 102;

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

export type TunnelSocket = {
  readonly fd: number;
  readonly family: Family;
  readonly discovery: Discovery;
} & Trains;

/**
 * The tunnel's UDP socket of one family, bound and non-blocking, in this thread's network namespace. The
 * caller closes it. Those of both families share a port. It is not connected, so an ICMP error about one
 * peer never comes up as an error of the socket.
 */
export function openTunnelSocket(outer: OuterConfig, family: Family, wanted: Trains): TunnelSocket {
  const local = { ip: boundTo(outer, family), port: outer.localPort };
  const subject = `UDP socket ${formatEndpoint(local)}`;
  const fd = openUdp(family, subject);
  try {
    if (outer.device !== undefined) bindToDevice(fd, outer.device, subject);
    if (family === 'ipv4') setIpv4(fd, outer, subject);
    else setIpv6(fd, outer, subject);
    const discovery = outer.fragments === true && family === 'ipv4' ? 'fragment' : 'heed';
    checked(discover(fd, family, discovery), 'MTU_DISCOVER', subject, 'fou');
    setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, subject);
    setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, subject);
    bindTo(fd, local, subject);
    return { fd, family, discovery, ...offloadsOf(fd, outer, wanted) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Binds a socket to its `fou-dev` again: the kernel keeps to the index that the device had, also where another has been
 * made under its name. No effect while there is none; throws KernelError for anything else.
 */
export function bindAgain(fd: number, { device, localPort }: OuterConfig): void {
  if (device === undefined) return;
  try {
    bindToDevice(fd, device, `UDP socket, port ${localPort}`);
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === 'ENODEV')) throw error;
  }
}

/** Whether this kernel has sockets of a family; of IPv6 a kernel that was built or started without it has none. */
export function hasFamily(family: Family): boolean {
  try {
    close(openUdp(family, `UDP socket of ${family}`));
    return true;
  } catch (error) {
    if (error instanceof KernelError && error.errno === 'EAFNOSUPPORT') return false;
    throw error;
  }
}

function openUdp(family: Family, subject: string): number {
  const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  return withHint(
    {
      EAFNOSUPPORT:
        'this kernel has no IPv6 (ipv6.disable=1 on its command line?): start it with IPv6, or say fou-family ipv4',
    },
    () => checked(socket(addressFamily(family), type, 0), 'socket', subject, 'fou'),
  );
}

function boundTo({ localIps }: OuterConfig, family: Family): OuterIp {
  return ofFamily(localIps, family) ?? ((family === 'ipv4' ? '0.0.0.0' : '::') as OuterIp); // both are canonical
}

function setIpv4(fd: number, { udpChecksum }: OuterConfig, subject: string): void {
  set(fd, IPPROTO_IP, IP_PKTINFO, 1, 'IP_PKTINFO', subject);
  if (udpChecksum === false) set(fd, SOL_SOCKET, SO_NO_CHECK, 1, 'SO_NO_CHECK', subject);
}

/**
 * Datagrams without a checksum are taken, as RFC 6935 allows for tunnels: the kernel's own FOU sends such, and
 * an admitted path is told by all of its addresses and ports (RFC 6936, section 4).
 */
function setIpv6(fd: number, { udpChecksum }: OuterConfig, subject: string): void {
  set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, 'IPV6_V6ONLY', subject);
  set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, 'IPV6_RECVPKTINFO', subject);
  set(fd, SOL_UDP, UDP_NO_CHECK6_RX, 1, 'UDP_NO_CHECK6_RX', subject);
  if (udpChecksum === false) set(fd, SOL_UDP, UDP_NO_CHECK6_TX, 1, 'UDP_NO_CHECK6_TX', subject);
}

/**
 * Whether ICMP errors are queued for the socket; without it the kernel empties the queue, and no error is reported
 * by another call. Below 0 with errno set when refused.
 */
export function hearErrors(fd: number, family: Family, heard: boolean): number {
  const value = int(heard ? 1 : 0);
  return family === 'ipv4'
    ? setsockopt(fd, IPPROTO_IP, IP_RECVERR, value, value.length)
    : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, value, value.length);
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

function bindTo(
  fd: number,
  { ip, port }: { readonly ip: OuterIp; readonly port: Port },
  subject: string,
): void {
  const address = encodeSockaddr({ ip, port });
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

function withHint<T>(hints: Readonly<Record<string, string>>, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const hint = error instanceof KernelError ? hints[error.errno] : undefined;
    if (!(error instanceof KernelError) || hint === undefined) throw error;
    throw new KernelError(EXIT_OF[error.errno] ?? error.exit, error, { hint, cause: error });
  }
}

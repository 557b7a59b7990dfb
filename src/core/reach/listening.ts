/** What listens on this host, as /proc/net/tcp, tcp6, udp and udp6 tell (proc(5)). */
import { decodeOuterIpv4, decodeOuterIpv6, parsePort, type OuterIp } from '../addr.ts';
import type { Exposure, Transport } from '../config/exposure.ts';
import type { Port } from '../units.ts';

export type Listener = {
  readonly ip: OuterIp;
  readonly port: Port;
  /** Of the socket, as the descriptors of its processes name it. */
  readonly inode: number;
};
export type Listeners = Readonly<Record<Transport, readonly Listener[]>>;

/** TCP_LISTEN and, of UDP, TCP_CLOSE (net/tcp_states.h): a socket that has no other end. */
const STATES = { tcp: '0A', udp: '07' } as const;

/** The sockets of one such file that wait for anybody. Lines of another form are left out. */
export function parseListeners(text: string, protocol: keyof typeof STATES): readonly Listener[] {
  return text.split('\n').flatMap((line) => {
    const found =
      /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ (\d+)/.exec(
        line,
      );
    const [, ipText = '', portText = '', state, inode] = found ?? [];
    if (found === null || state !== STATES[protocol]) return [];
    const port = parsePort(String(Number.parseInt(portText, 16)));
    return port === undefined ? [] : [{ ip: addressOf(ipText), port, inode: Number(inode) }];
  });
}

/** Words of four bytes, each printed as a number of this host, which is a little-endian one. */
function addressOf(hex: string): OuterIp {
  const bytes = Uint8Array.from({ length: hex.length / 2 }, (_, index) => {
    const at = (index & ~3) + (3 - (index & 3));
    return Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16);
  });
  return bytes.length === 4 ? decodeOuterIpv4(bytes) : decodeOuterIpv6(bytes);
}

/** Those whom visitors of a service no longer reach. */
export function shadowedBy(service: Exposure, listeners: Listeners): readonly Listener[] {
  if (service.protocol === 'all') return [];
  return listeners[service.protocol].filter((listener) => concerns(listener, service));
}

/** Ports of this host that `all` leaves to it, as `tcp/22`; none of another service. */
export function leftOut(service: Exposure, listeners: Listeners): readonly string[] {
  if (service.protocol !== 'all') return [];
  return TRANSPORTS.flatMap((protocol) => {
    const found = listeners[protocol].filter((listener) => concerns(listener, service));
    const ports = new Set(found.map((listener): number => listener.port));
    return [...ports].toSorted((a, b) => a - b).map((number) => `${protocol}/${number}`);
  });
}

const TRANSPORTS: readonly Transport[] = ['tcp', 'udp'];

/** Whether visitors of a service could mean a listener, who is not only there for this host. */
function concerns({ ip, port }: Listener, { publicIp, first, last }: Exposure): boolean {
  if (port < first || port > last || ip.startsWith('127.') || ip === '::1') return false;
  return publicIp === undefined || ip === '0.0.0.0' || ip === '::' || ip === publicIp;
}

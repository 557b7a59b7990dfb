import {
  encodeIp,
  encodeIpv4,
  type Family,
  type OuterIp,
  type InnerIp,
  type Path,
} from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';

/** A simple, independent internet checksum: 16-bit big-endian words, carries added as they come. */
export function slowSum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const bytes of parts) {
    for (let at = 0; at < bytes.length; at += 2) {
      sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
      if (sum > 0xffff) sum -= 0xffff;
    }
  }
  return sum;
}

function u16(value: number): readonly number[] {
  return [(value >> 8) & 0xff, value & 0xff];
}

function u32(value: number): readonly number[] {
  return [...u16(Math.floor(value / 65_536)), ...u16(value % 65_536)];
}

export type TcpPacket = {
  /** IPv4 where it is not said. Of IPv6 are `tos` and `ttl`, too: class and hop limit. */
  readonly family?: Family;
  readonly label?: number;
  /** Extension headers, whole, the first of which is hop-by-hop options; the last says what follows. */
  readonly extensions?: Uint8Array;
  readonly source?: InnerIp;
  readonly destination?: InnerIp;
  readonly ports?: readonly [number, number];
  readonly identification?: number;
  readonly dontFragment?: boolean;
  readonly tos?: number;
  readonly ttl?: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  readonly flags?: number;
  readonly window?: number;
  /** Whole words. */
  readonly options?: Uint8Array;
  readonly ipOptions?: Uint8Array;
  readonly payload: Uint8Array;
};

const SOURCE = '172.28.0.1' as InnerIp;
const DESTINATION = '172.28.0.0' as InnerIp;

const SOURCE6 = 'fd28::1' as InnerIp;
const DESTINATION6 = 'fd28::' as InnerIp;

/** Bytes before the transport header; of IPv6 without extension headers. */
export function headerLengthOf(packet: Uint8Array): number {
  return isIpv6(packet) ? 40 : ((packet[0] ?? 0) & 15) * 4;
}

function isIpv6(packet: Uint8Array): boolean {
  return (packet[0] ?? 0) >> 4 === 6;
}

function protocolOf(packet: Uint8Array): number {
  return packet[isIpv6(packet) ? 6 : 9] ?? 0;
}

export function pseudoHeader(
  packet: Uint8Array,
  length: number,
  protocol = protocolOf(packet),
): Uint8Array {
  if (isIpv6(packet)) {
    return Uint8Array.of(...packet.subarray(8, 40), 0, 0, ...u16(length), 0, 0, 0, protocol);
  }
  return Uint8Array.of(...packet.subarray(12, 20), 0, protocol, ...u16(length));
}

function ipHeader(of: Omit<TcpPacket, 'payload'>, protocol: number, length: number): Uint8Array {
  if (of.family === 'ipv6') return ipv6Header(of, protocol, length);
  const options = of.ipOptions ?? new Uint8Array();
  const header = Uint8Array.of(
    0x45 + options.length / 4,
    of.tos ?? 0,
    ...u16(20 + options.length + length),
    ...u16(of.identification ?? 0x1234),
    of.dontFragment === false ? 0 : 0x40,
    0,
    of.ttl ?? 64,
    protocol,
    0,
    0,
    ...encodeIpv4(of.source ?? SOURCE),
    ...encodeIpv4(of.destination ?? DESTINATION),
    ...options,
  );
  header.set(u16(~slowSum(header)), 10);
  return header;
}

function ipv6Header(of: Omit<TcpPacket, 'payload'>, protocol: number, length: number): Uint8Array {
  const extensions = of.extensions ?? new Uint8Array();
  return Uint8Array.of(
    ...u32(0x6000_0000 + (of.tos ?? 0) * 0x10_0000 + (of.label ?? 0)),
    ...u16(extensions.length + length),
    extensions.length > 0 ? 0 : protocol,
    of.ttl ?? 64,
    ...encodeIp(of.source ?? SOURCE6),
    ...encodeIp(of.destination ?? DESTINATION6),
    ...extensions,
  );
}

/** A TCP segment in an IP packet, its checksums right. */
export function tcpPacket(of: TcpPacket): Uint8Array {
  const options = of.options ?? new Uint8Array();
  const [from, to] = of.ports ?? [5001, 40_000];
  const tcp = Uint8Array.of(
    ...u16(from),
    ...u16(to),
    ...u32(of.sequence ?? 1),
    ...u32(of.acknowledgment ?? 7),
    (5 + options.length / 4) << 4,
    of.flags ?? 0x10,
    ...u16(of.window ?? 500),
    ...u16(0),
    ...u16(0),
    ...options,
  );
  const header = ipHeader(of, 6, tcp.length + of.payload.length);
  const sum = slowSum(pseudoHeader(header, tcp.length + of.payload.length, 6), tcp, of.payload);
  tcp.set(u16(~sum), 16);
  return Uint8Array.from(Buffer.concat([header, tcp, of.payload]));
}

/** A UDP datagram in an IP packet, its checksums right. */
export function udpPacket(payload: Uint8Array, of: Omit<TcpPacket, 'payload'> = {}): Uint8Array {
  const [from, to] = of.ports ?? [5001, 40_000];
  const length = 8 + payload.length;
  const udp = Uint8Array.of(...u16(from), ...u16(to), ...u16(length), 0, 0);
  const header = ipHeader(of, 17, length);
  const sum = ~slowSum(pseudoHeader(header, length, 17), udp, payload) & 0xffff;
  udp.set(u16(sum === 0 ? 0xffff : sum), 6);
  return Uint8Array.from(Buffer.concat([header, udp, payload]));
}

/** What is wrong with a packet's checksums; undefined when they are right. */
export function wrongChecksum(packet: Uint8Array): string | undefined {
  const headerLength = headerLengthOf(packet);
  const protocol = protocolOf(packet);
  const said = (at: number): number => (packet[at] ?? 0) * 256 + (packet[at + 1] ?? 0);
  const total = isIpv6(packet) ? said(4) + 40 : said(2);
  if (total !== packet.length) return `total length ${total} of ${packet.length} bytes`;
  if (!isIpv6(packet) && slowSum(packet.subarray(0, headerLength)) !== 0xffff) {
    return 'IPv4 header checksum';
  }
  const transport = packet.subarray(headerLength);
  if (protocol === 17) {
    if (transport[6] === 0 && transport[7] === 0) return 'no UDP checksum';
    const udpLength = (transport[4] ?? 0) * 256 + (transport[5] ?? 0);
    if (udpLength !== transport.length) return `UDP length ${udpLength} of ${transport.length}`;
  }
  if (protocol !== 17 && protocol !== 6) return undefined;
  const sum = slowSum(pseudoHeader(packet, transport.length), transport);
  return sum === 0xffff ? undefined : 'transport checksum';
}

/** Replaces a transport checksum by the sum of the pseudo header, as the kernel leaves it to offload. */
export function leavePartial(packet: Uint8Array): Uint8Array {
  const headerLength = headerLengthOf(packet);
  const field = headerLength + (protocolOf(packet) === 6 ? 16 : 6);
  const sum = slowSum(pseudoHeader(packet, packet.length - headerLength));
  const partial = packet.slice();
  partial.set(u16(sum), field);
  return partial;
}

export function parsePath(local: string, remote: string): Path {
  const end = (text: string) => {
    const [, ip = '', number = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? [];
    return { ip: ip as OuterIp, port: port(Number(number)) };
  };
  return { local: end(local), remote: end(remote) };
}

/** Bytes that differ from place to place. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 97 + (at >> 8) * 13) & 0xff);
}

/**
 * The UDP header (RFC 768; network byte order):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-------------------------------+
 *     |          Source Port          |       Destination Port        |
 *     +-------------------------------+-------------------------------+
 *     |            Length             |           Checksum            |
 *     +-------------------------------+-------------------------------+
 *
 * The length counts the header. The checksum covers a pseudo header (source and destination address, protocol,
 * length), the header and the data; zero says that there is none. Over IPv6 there has to be one (RFC 8200, section
 * 8.1) but where both ends of a tunnel have agreed (RFC 6935).
 */
import {
  decodeOuterIpv4,
  decodeOuterIpv6,
  familyOf,
  type Endpoint,
  type Family,
  type OuterIp,
  type Path,
} from '../addr.ts';
import { encodeU16be, getU16be } from '../bytes.ts';
import { refuse, succeed, type Decoded } from '../result.ts';
import { port } from '../units.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import {
  decodeIpv4Header,
  encodeIpv4Header,
  IPPROTO_UDP,
  IPV4_HEADER_LENGTH,
  IPV4_MAX_LENGTH,
} from './ipv4.ts';
import {
  decodeIpv6Header,
  encodeIpv6Header,
  IPV6_HEADER_LENGTH,
  IPV6_MAX_PAYLOAD,
  whyNotPayload,
} from './ipv6.ts';

/** Offsets of the fields, in bytes. */
const AT = { source: 0, destination: 2, length: 4, checksum: 6 } as const;

export const UDP_HEADER_LENGTH = 8;

/** Longest payload of a UDP datagram in a packet without options or extension headers. */
export function maxUdpPayload(family: Family): number {
  const room = family === 'ipv4' ? IPV4_MAX_LENGTH - IPV4_HEADER_LENGTH : IPV6_MAX_PAYLOAD;
  return room - UDP_HEADER_LENGTH;
}

export type UdpDatagram = {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  /** A view into the packet. */
  readonly payload: Uint8Array;
  /** TTL, or hop limit, that was left on arrival. */
  readonly ttl: number;
};

export type UdpRules = {
  /** Whether a datagram over IPv6 may lack its checksum. Over IPv4 it may anyway. */
  readonly zeroChecksum: boolean;
};

const EVERY_RULE: UdpRules = { zeroChecksum: false };

/**
 * The datagram in a whole IP packet of either family. Refuses fragments, extension headers, other protocols,
 * lengths that contradict each other, port 0, a wrong checksum and, over IPv6, link-local addresses, the
 * unspecified one, and none where the rules say so. The payload ends where the UDP length says, which may be
 * before the packet ends.
 */
export function decodeUdp(packet: Uint8Array, rules = EVERY_RULE): Decoded<UdpDatagram> {
  const carrier =
    (packet[0] ?? 0) >> 4 === 6 ? decodeIpv6Carrier(packet) : decodeIpv4Carrier(packet);
  if (!carrier.ok) return carrier;
  const { source, destination, ttl, udp } = carrier.value;
  const room = udp.length;
  if (room < UDP_HEADER_LENGTH) return refuse(`${room} bytes are no UDP header`);
  const length = getU16be(udp, AT.length);
  if (length < UDP_HEADER_LENGTH || length > room) {
    return refuse(`UDP length ${length} where ${room} bytes are there`);
  }
  const datagram = udp.subarray(0, length);
  const carriesChecksum = getU16be(datagram, AT.checksum) !== 0;
  if (!carriesChecksum && familyOf(source) === 'ipv6' && !rules.zeroChecksum) {
    return refuse('no UDP checksum');
  }
  const pseudo = pseudoHeaderSum(source, destination, IPPROTO_UDP, length);
  if (carriesChecksum && internetChecksum(datagram, pseudo) !== 0) {
    return refuse('wrong UDP checksum');
  }
  const sourcePort = getU16be(datagram, AT.source);
  const destinationPort = getU16be(datagram, AT.destination);
  if (sourcePort === 0 || destinationPort === 0) return refuse('UDP port 0');
  return succeed({
    source: { ip: source, port: port(sourcePort) },
    destination: { ip: destination, port: port(destinationPort) },
    payload: datagram.subarray(UDP_HEADER_LENGTH),
    ttl,
  });
}

/** What an IP packet says that carries UDP; `udp` is a view. */
type Carrier = {
  readonly source: OuterIp;
  readonly destination: OuterIp;
  readonly ttl: number;
  readonly udp: Uint8Array;
};

function decodeIpv4Carrier(packet: Uint8Array): Decoded<Carrier> {
  const header = decodeIpv4Header(packet, decodeOuterIpv4);
  if (!header.ok) return header;
  const { source, destination, headerLength, totalLength, protocol, fragment, ttl } = header.value;
  if (protocol !== IPPROTO_UDP) return refuse(`IP protocol ${protocol}`);
  if (fragment) return refuse('a fragment');
  return succeed({ source, destination, ttl, udp: packet.subarray(headerLength, totalLength) });
}

function decodeIpv6Carrier(packet: Uint8Array): Decoded<Carrier> {
  const header = decodeIpv6Header(packet, decodeOuterIpv6);
  if (!header.ok) return header;
  const { source, destination, totalLength, nextHeader, hopLimit } = header.value;
  if (nextHeader !== IPPROTO_UDP) return refuse(whyNotPayload(nextHeader));
  if (isLinkLocal(source) || isLinkLocal(destination)) return refuse('a link-local address');
  if (source === '::' || destination === '::') return refuse('the unspecified address');
  const udp = packet.subarray(IPV6_HEADER_LENGTH, totalLength);
  return succeed({ source, destination, ttl: hopLimit, udp });
}

/** fe80::/10 (RFC 4291, section 2.5.6), of canonical text: its first group has four digits. */
function isLinkLocal(ip: OuterIp): boolean {
  return /^fe[89ab][0-9a-f]:/.test(ip);
}

export type OutgoingUdpPacket = {
  /** Sent from `local` to `remote`. */
  readonly path: Path;
  readonly payload: Uint8Array;
  /** TTL, or hop limit: 1..255. */
  readonly ttl: number;
  /** IPv4's; no router fragments IPv6. */
  readonly dontFragment: boolean;
  /** IPv4's; 0, the default, lets the kernel choose where it sends a raw packet. */
  readonly identification?: number;
  /** Whether the datagram carries a checksum. */
  readonly checksum: boolean;
};

/** A whole IP packet with its UDP datagram. Throws RangeError for a payload that does not fit (a bug). */
export function encodeUdpPacket(packet: OutgoingUdpPacket): Uint8Array {
  const { path, payload } = packet;
  const { local, remote } = path;
  const length = UDP_HEADER_LENGTH + payload.length;
  const header = encodeCarrier(packet, length);
  const bytes = new Uint8Array(header.length + length);
  bytes.set(header);
  const udp = bytes.subarray(header.length);
  udp.set(encodeU16be(local.port), AT.source);
  udp.set(encodeU16be(remote.port), AT.destination);
  udp.set(encodeU16be(length), AT.length);
  udp.set(payload, UDP_HEADER_LENGTH);
  if (packet.checksum) {
    const pseudo = pseudoHeaderSum(local.ip, remote.ip, IPPROTO_UDP, length);
    const sum = internetChecksum(udp, pseudo);
    // RFC 768: a computed zero is sent as all ones, since zero says that there is no checksum.
    udp.set(encodeU16be(sum === 0 ? 0xffff : sum), AT.checksum);
  }
  return bytes;
}

function encodeCarrier(packet: OutgoingUdpPacket, payloadLength: number): Uint8Array {
  const { path, ttl } = packet;
  const [source, destination] = [path.local.ip, path.remote.ip];
  if (familyOf(source) !== familyOf(destination)) {
    throw new RangeError(`a packet from ${source} to ${destination}`);
  }
  if (familyOf(source) === 'ipv6') {
    const nextHeader = IPPROTO_UDP;
    return encodeIpv6Header({ payloadLength, nextHeader, hopLimit: ttl, source, destination });
  }
  return encodeIpv4Header({
    payloadLength,
    identification: packet.identification ?? 0,
    dontFragment: packet.dontFragment,
    ttl,
    protocol: IPPROTO_UDP,
    source,
    destination,
  });
}

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
 * The length counts the header. The checksum covers a pseudo header (source and destination
 * address, zero, protocol, length), the header and the data; zero says that there is none.
 */
import { decodeOuterIpv4, encodeIpv4, type OuterIp, type Endpoint, type Path } from '../addr.ts';
import { encodeU16be, getU16be } from '../bytes.ts';
import { refuse, succeed, type Decoded } from '../result.ts';
import { port } from '../units.ts';
import { addToChecksum, internetChecksum } from './checksum.ts';
import { decodeIpv4Header, encodeIpv4Header, IPPROTO_UDP, IPV4_HEADER_LENGTH } from './ipv4.ts';

/** Offsets of the fields, in bytes. */
const AT = { source: 0, destination: 2, length: 4, checksum: 6 } as const;

export const UDP_HEADER_LENGTH = 8;
/** Longest payload of a UDP datagram over IPv4 without options. */
export const UDP_MAX_PAYLOAD = 0xffff - IPV4_HEADER_LENGTH - UDP_HEADER_LENGTH;

export type UdpDatagram = {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  /** A view into the packet. */
  readonly payload: Uint8Array;
  /** TTL that was left on arrival. */
  readonly ttl: number;
};

function pseudoHeaderSum(source: OuterIp, destination: OuterIp, length: number): number {
  const addresses = addToChecksum(addToChecksum(0, encodeIpv4(source)), encodeIpv4(destination));
  return addresses + IPPROTO_UDP + length;
}

/**
 * The datagram in a whole IPv4 packet. Refuses fragments, other protocols, lengths that contradict
 * each other, port 0 and, where there is one, a wrong checksum. The payload ends where the UDP
 * length says, which may be before the packet ends.
 */
export function decodeUdp(packet: Uint8Array): Decoded<UdpDatagram> {
  const header = decodeIpv4Header(packet, decodeOuterIpv4);
  if (!header.ok) return header;
  const { source, destination, headerLength, totalLength, protocol, fragment, ttl } = header.value;
  if (protocol !== IPPROTO_UDP) return refuse(`IP protocol ${protocol}`);
  if (fragment) return refuse('a fragment');
  const room = totalLength - headerLength;
  if (room < UDP_HEADER_LENGTH) return refuse(`${room} bytes are no UDP header`);
  const udp = packet.subarray(headerLength, totalLength);
  const length = getU16be(udp, AT.length);
  if (length < UDP_HEADER_LENGTH || length > room) {
    return refuse(`UDP length ${length} where ${room} bytes are there`);
  }
  const datagram = udp.subarray(0, length);
  const carriesChecksum = getU16be(datagram, AT.checksum) !== 0;
  if (
    carriesChecksum &&
    internetChecksum(datagram, pseudoHeaderSum(source, destination, length)) !== 0
  ) {
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

export type OutgoingUdpPacket = {
  /** Sent from `local` to `remote`. */
  readonly path: Path;
  readonly payload: Uint8Array;
  /** 1..255. */
  readonly ttl: number;
  readonly dontFragment: boolean;
  /** 0, the default, lets the kernel choose where it sends a raw packet. */
  readonly identification?: number;
  /** Whether the datagram carries a checksum. */
  readonly checksum: boolean;
};

/** A whole IPv4 packet with its UDP datagram. Throws RangeError for a payload that does not fit (a bug). */
export function encodeUdpPacket(packet: OutgoingUdpPacket): Uint8Array {
  const { path, payload } = packet;
  const { local, remote } = path;
  const length = UDP_HEADER_LENGTH + payload.length;
  const header = encodeIpv4Header({
    payloadLength: length,
    identification: packet.identification ?? 0,
    dontFragment: packet.dontFragment,
    ttl: packet.ttl,
    protocol: IPPROTO_UDP,
    source: local.ip,
    destination: remote.ip,
  });
  const bytes = new Uint8Array(header.length + length);
  bytes.set(header);
  const udp = bytes.subarray(header.length);
  udp.set(encodeU16be(local.port), AT.source);
  udp.set(encodeU16be(remote.port), AT.destination);
  udp.set(encodeU16be(length), AT.length);
  udp.set(payload, UDP_HEADER_LENGTH);
  if (packet.checksum) {
    const sum = internetChecksum(udp, pseudoHeaderSum(local.ip, remote.ip, length));
    // RFC 768: a computed zero is sent as all ones, since zero says that there is no checksum.
    udp.set(encodeU16be(sum === 0 ? 0xffff : sum), AT.checksum);
  }
  return bytes;
}

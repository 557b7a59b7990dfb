/**
 * The IPv4 header (RFC 791, section 3.1; network byte order):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------+-------+---------------+-------------------------------+
 *     |Version|  IHL  |Type of Service|          Total Length         |
 *     +-------+-------+---------------+-----+-------------------------+
 *     |         Identification        |Flags|     Fragment Offset     |
 *     +---------------+---------------+-----+-------------------------+
 *     |  Time to Live |    Protocol   |        Header Checksum        |
 *     +---------------+---------------+-------------------------------+
 *     |                       Source Address                          |
 *     +---------------------------------------------------------------+
 *     |                    Destination Address                        |
 *     +---------------------------------------------------------------+
 *     | Options, to IHL * 4 bytes                                     |
 */
import { encodeIpv4, type Ip } from '../addr.ts';
import { encodeU16be, getU16be } from '../bytes.ts';
import { refuse, succeed, type Decoded } from '../result.ts';
import { internetChecksum } from './checksum.ts';

/** Offsets of the fields, in bytes. */
const AT = {
  versionIhl: 0,
  typeOfService: 1,
  totalLength: 2,
  identification: 4,
  fragment: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
} as const;

/** Bytes of a header without options. */
export const IPV4_HEADER_LENGTH = 20;
/** Longest packet that the total length can say. */
export const IPV4_MAX_LENGTH = 0xffff;

export const IPPROTO_IPIP = 4;
export const IPPROTO_UDP = 17;

const RESERVED_FLAG = 0x8000;
const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const FRAGMENT_OFFSET_MASK = 0x1fff;

export type Ipv4Header<Kind extends Ip> = {
  /** Bytes, options included: 20..60. */
  readonly headerLength: number;
  /** Bytes of header and payload; never more than were given. */
  readonly totalLength: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  /** Whether this is a piece of a packet, first and last pieces included. */
  readonly fragment: boolean;
  readonly ttl: number;
  /** IPPROTO_*. */
  readonly protocol: number;
  readonly source: Kind;
  readonly destination: Kind;
};

/**
 * The header at the start of `packet`, which is an outer or an inner one as `decodeIp` says. Refuses another version, lengths that contradict each other
 * or the bytes, the reserved flag, a fragment that would end beyond the longest packet, and a wrong
 * header checksum. Bytes after the total length (link-layer padding) are allowed.
 */
export function decodeIpv4Header<Kind extends Ip>(
  packet: Uint8Array,
  decodeIp: (bytes: Uint8Array, offset: number) => Kind,
): Decoded<Ipv4Header<Kind>> {
  if (packet.length < IPV4_HEADER_LENGTH)
    return refuse(`${packet.length} bytes are no IPv4 header`);
  const versionIhl = packet[AT.versionIhl] ?? 0;
  const version = versionIhl >> 4;
  if (version !== 4) return refuse(`IP version ${version}`);
  const headerLength = (versionIhl & 0x0f) * 4;
  if (headerLength < IPV4_HEADER_LENGTH) return refuse(`an IPv4 header of ${headerLength} bytes`);
  const totalLength = getU16be(packet, AT.totalLength);
  if (totalLength < headerLength) {
    return refuse(`total length ${totalLength} with a header of ${headerLength} bytes`);
  }
  if (totalLength > packet.length) {
    return refuse(`total length ${totalLength} where ${packet.length} bytes are there`);
  }
  const flags = getU16be(packet, AT.fragment);
  if (flags & RESERVED_FLAG) return refuse('the reserved IPv4 flag is set');
  const fragmentOffset = (flags & FRAGMENT_OFFSET_MASK) * 8;
  if (fragmentOffset + totalLength > IPV4_MAX_LENGTH) {
    return refuse(`a fragment of ${totalLength} bytes at ${fragmentOffset}`);
  }
  if (internetChecksum(packet.subarray(0, headerLength)) !== 0) {
    return refuse('wrong IPv4 header checksum');
  }
  return succeed({
    headerLength,
    totalLength,
    identification: getU16be(packet, AT.identification),
    dontFragment: (flags & DONT_FRAGMENT) !== 0,
    fragment: (flags & MORE_FRAGMENTS) !== 0 || fragmentOffset !== 0,
    ttl: packet[AT.ttl] ?? 0,
    protocol: packet[AT.protocol] ?? 0,
    source: decodeIp(packet, AT.source),
    destination: decodeIp(packet, AT.destination),
  });
}

export type OutgoingIpv4Header = {
  readonly payloadLength: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly ttl: number;
  readonly protocol: number;
  readonly source: Ip;
  readonly destination: Ip;
};

/** A header of 20 bytes with its checksum. Throws RangeError when the payload does not fit (a bug). */
export function encodeIpv4Header(header: OutgoingIpv4Header): Uint8Array {
  const totalLength = IPV4_HEADER_LENGTH + header.payloadLength;
  if (totalLength > IPV4_MAX_LENGTH) throw new RangeError(`an IPv4 packet of ${totalLength} bytes`);
  const bytes = new Uint8Array(IPV4_HEADER_LENGTH);
  bytes[AT.versionIhl] = 0x45;
  bytes.set(encodeU16be(totalLength), AT.totalLength);
  bytes.set(encodeU16be(header.identification), AT.identification);
  bytes.set(encodeU16be(header.dontFragment ? DONT_FRAGMENT : 0), AT.fragment);
  bytes[AT.ttl] = header.ttl;
  bytes[AT.protocol] = header.protocol;
  bytes.set(encodeIpv4(header.source), AT.source);
  bytes.set(encodeIpv4(header.destination), AT.destination);
  bytes.set(encodeU16be(internetChecksum(bytes)), AT.checksum);
  return bytes;
}

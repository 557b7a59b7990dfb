/**
 * The IPv6 header (RFC 8200, section 3; network byte order):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------+---------------+---------------------------------------+
 *     |Version| Traffic Class |              Flow Label               |
 *     +-------+---------------+-------+---------------+---------------+
 *     |        Payload Length         |  Next Header  |   Hop Limit   |
 *     +-------------------------------+---------------+---------------+
 *     |                    Source Address (16 bytes)                  |
 *     +---------------------------------------------------------------+
 *     |                 Destination Address (16 bytes)                |
 *     +---------------------------------------------------------------+
 *
 * What follows may be an extension header, of which none has a place in an outer packet of ours: what decodes
 * the payload refuses it by its number, in the words of `whyNotPayload`.
 */
import { encodeIp, type Ip } from '../addr.ts';
import { encodeU16be, getU16be, getU32be, setU32be } from '../bytes.ts';
import { isMappedIpv4 } from '../ip-text.ts';
import { refuse, succeed, type Decoded } from '../result.ts';

/** Offsets of the fields, in bytes. */
const AT = {
  versionClassLabel: 0,
  payloadLength: 4,
  nextHeader: 6,
  hopLimit: 7,
  source: 8,
  destination: 24,
} as const;

/** Bytes of the header. */
export const IPV6_HEADER_LENGTH = 40;
/** Longest payload that the length can say; beyond are jumbograms (RFC 2675), which are refused. */
export const IPV6_MAX_PAYLOAD = 0xffff;
/** What every link carries (RFC 8200, section 5), bytes: a way that takes less carries no IPv6. */
export const IPV6_MIN_MTU = 1280;

export const IPPROTO_IPV6 = 41;
export const IPPROTO_ICMPV6 = 58;

const VERSION = 0x6000_0000;
const FLOW_LABEL_MASK = 0xf_ffff;
const MULTICAST = 0xff;

export type Ipv6Header<Kind extends Ip> = {
  /** Bytes of header and payload; never more than were given. */
  readonly totalLength: number;
  readonly trafficClass: number;
  /** 20 bits; 0 = none. */
  readonly flowLabel: number;
  /** IPPROTO_*, of a protocol or of an extension header. */
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly source: Kind;
  readonly destination: Kind;
};

/**
 * The header at the start of `packet`, which is an outer or an inner one as `decodeIp` says. Refuses another
 * version, a length that contradicts the bytes, jumbograms, a multicast source (RFC 4291, 2.7), and IPv4-mapped
 * addresses, which have no place on a wire. Bytes after the payload (link-layer padding) are allowed.
 */
export function decodeIpv6Header<Kind extends Ip>(
  packet: Uint8Array,
  decodeIp: (bytes: Uint8Array, offset: number) => Kind,
): Decoded<Ipv6Header<Kind>> {
  if (packet.length < IPV6_HEADER_LENGTH)
    return refuse(`${packet.length} bytes are no IPv6 header`);
  const first = getU32be(packet, AT.versionClassLabel);
  const version = first >>> 28;
  if (version !== 6) return refuse(`IP version ${version}`);
  const payloadLength = getU16be(packet, AT.payloadLength);
  const nextHeader = packet[AT.nextHeader] ?? 0;
  if (payloadLength === 0 && nextHeader === HOP_BY_HOP) return refuse('a jumbogram');
  const totalLength = IPV6_HEADER_LENGTH + payloadLength;
  if (totalLength > packet.length) {
    return refuse(`total length ${totalLength} where ${packet.length} bytes are there`);
  }
  if (packet[AT.source] === MULTICAST) return refuse('a multicast source');
  if (isMappedIpv4(packet, AT.source) || isMappedIpv4(packet, AT.destination)) {
    return refuse('an IPv4-mapped address');
  }
  return succeed({
    totalLength,
    trafficClass: (first >>> 20) & 0xff,
    flowLabel: first & FLOW_LABEL_MASK,
    nextHeader,
    hopLimit: packet[AT.hopLimit] ?? 0,
    source: decodeIp(packet, AT.source),
    destination: decodeIp(packet, AT.destination),
  });
}

const HOP_BY_HOP = 0;
const FRAGMENT = 44;
/** Extension headers (the registry of RFC 8200's section 4 and RFC 7045), fragments apart. */
const EXTENSIONS: ReadonlySet<number> = new Set([
  HOP_BY_HOP,
  43,
  50,
  51,
  60,
  135,
  139,
  140,
  253,
  254,
]);

/** Why what follows an outer header is not the payload that was looked for. */
export function whyNotPayload(nextHeader: number): string {
  if (nextHeader === FRAGMENT) return 'a fragment';
  if (EXTENSIONS.has(nextHeader)) return `IPv6 extension header ${nextHeader}`;
  return `IP protocol ${nextHeader}`;
}

export type OutgoingIpv6Header = {
  readonly payloadLength: number;
  readonly trafficClass?: number;
  readonly flowLabel?: number;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly source: Ip;
  readonly destination: Ip;
};

/** A header of 40 bytes. Throws RangeError when the payload does not fit (a bug). */
export function encodeIpv6Header(header: OutgoingIpv6Header): Uint8Array {
  const { payloadLength, trafficClass = 0, flowLabel = 0 } = header;
  if (payloadLength > IPV6_MAX_PAYLOAD)
    throw new RangeError(`an IPv6 payload of ${payloadLength} bytes`);
  const bytes = new Uint8Array(IPV6_HEADER_LENGTH);
  setU32be(bytes, AT.versionClassLabel, VERSION | (trafficClass << 20) | flowLabel);
  bytes.set(encodeU16be(payloadLength), AT.payloadLength);
  bytes[AT.nextHeader] = header.nextHeader;
  bytes[AT.hopLimit] = header.hopLimit;
  bytes.set(encodeIp(header.source), AT.source);
  bytes.set(encodeIp(header.destination), AT.destination);
  return bytes;
}

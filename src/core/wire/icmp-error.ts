/**
 * ICMP errors (RFC 792; network byte order), which quote the beginning of the packet that they are about:
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     |     Type      |     Code      |           Checksum            |
 *     +---------------+---------------+-------------------------------+
 *     |             unused            | Next-hop MTU (RFC 1191), or 0 |
 *     +-------------------------------+-------------------------------+
 *     | IPv4 header of the packet, with its options, and 64 bits or   |
 *     | more of what followed (RFC 1812, section 4.3.2.3)             |
 *
 * ICMPv6's (RFC 4443) are alike: of "too big" alone the second word is one number, the MTU, and what is quoted is
 * an IPv6 packet, whose beginning has a fixed length.
 *
 * The quoted header is as it was where the packet ended: what a router changed in it without mending the
 * checksum is no matter, and its total length says more than is there.
 */
import { decodeOuterIpv4, decodeOuterIpv6, type OuterIp, type Path } from '../addr.ts';
import { getU16be, getU32be } from '../bytes.ts';
import { refuse, succeed, type Decoded } from '../result.ts';
import { port } from '../units.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import { decodeIpv4Header, IPPROTO_UDP, IPV4_HEADER_LENGTH } from './ipv4.ts';
import {
  decodeIpv6Header,
  IPPROTO_ICMPV6,
  IPV6_HEADER_LENGTH,
  IPV6_MIN_MTU,
  whyNotPayload,
} from './ipv6.ts';
import { UDP_HEADER_LENGTH } from './udp.ts';

/** Offsets of the fields, in bytes. */
const AT = { type: 0, code: 1, mtu: 4, nextHopMtu: 6, quoted: 8 } as const;
/** Those of the quoted packet; the ports are behind its header. */
const QUOTED = { versionIhl: 0, fragment: 6, protocol: 9, source: 12, destination: 16 } as const;
const QUOTED6 = { nextHeader: 6, source: 8, destination: 24 } as const;
const FRAGMENT_OFFSET_MASK = 0x1fff;

export const IPPROTO_ICMP = 1;
// linux/icmp.h
export const ICMP_DEST_UNREACH = 3;
export const ICMP_FRAG_NEEDED = 4;
export const ICMP_TIME_EXCEEDED = 11;
// linux/icmpv6.h
export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PKT_TOOBIG = 2;
export const ICMPV6_TIME_EXCEED = 3;
export const ICMPV6_PARAMPROB = 4;
/** Its code of a next header that nobody there knows. */
const ICMPV6_UNK_NEXTHDR = 1;

/** An ICMP error other than "too big", in the words that both families share; `from`: whose it says it is. */
export type Undelivered = {
  readonly code: UndeliveredCode;
  readonly from: OuterIp | undefined;
};
export type UndeliveredCode =
  'net' | 'host' | 'protocol' | 'port' | 'prohibited' | 'hops' | 'other';

/** What somebody on the way says of a packet; `mtu`: the next hop's, where it was told. */
export type IcmpError =
  | { readonly kind: 'too-big'; readonly mtu: number | undefined }
  | ({ readonly kind: 'unreachable' } & Undelivered);

export type IcmpFields = {
  readonly type: number;
  readonly code: number;
  /** Bytes; 0 from routers that do not tell. */
  readonly nextHopMtu: number;
  readonly from: OuterIp | undefined;
};

/** The meaning of an error over IPv4. */
export function icmpError({ type, code, nextHopMtu, from }: IcmpFields): IcmpError {
  if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED) {
    return { kind: 'too-big', mtu: nextHopMtu === 0 ? undefined : nextHopMtu };
  }
  return { kind: 'unreachable', code: undeliveredCode(type, code), from };
}

/** The meaning of one over IPv6. "Too big" for less than every link carries tells nothing (RFC 8201, section 4). */
export function icmpv6Error({ type, code, nextHopMtu, from }: IcmpFields): IcmpError {
  if (type === ICMPV6_PKT_TOOBIG) {
    return { kind: 'too-big', mtu: nextHopMtu < IPV6_MIN_MTU ? undefined : nextHopMtu };
  }
  return { kind: 'unreachable', code: undeliveredCode6(type, code), from };
}

/** Types and codes of RFC 792, RFC 1122 section 3.2.2.1 and RFC 1812 section 5.2.7.1. */
function undeliveredCode(type: number, code: number): UndeliveredCode {
  if (type === ICMP_TIME_EXCEEDED) return 'hops';
  if (type !== ICMP_DEST_UNREACH) return 'other';
  return UNREACHABLE_CODES[code] ?? 'other';
}

const UNREACHABLE_CODES: Readonly<Partial<Record<number, UndeliveredCode>>> = {
  0: 'net',
  1: 'host',
  2: 'protocol',
  3: 'port',
  6: 'net',
  7: 'host',
  9: 'prohibited',
  10: 'prohibited',
  11: 'net',
  12: 'host',
  13: 'prohibited',
};

/** Types and codes of RFC 4443, section 3. */
function undeliveredCode6(type: number, code: number): UndeliveredCode {
  if (type === ICMPV6_TIME_EXCEED) return 'hops';
  if (type === ICMPV6_PARAMPROB && code === ICMPV6_UNK_NEXTHDR) return 'protocol';
  if (type !== ICMPV6_DEST_UNREACH) return 'other';
  return UNREACHABLE_CODES6[code] ?? 'other';
}

const UNREACHABLE_CODES6: Readonly<Partial<Record<number, UndeliveredCode>>> = {
  0: 'net',
  1: 'prohibited',
  2: 'net',
  3: 'host',
  4: 'port',
  5: 'prohibited',
  6: 'net',
};

/** An error, and the way that the quoted UDP packet of ours took: from `local` to `remote`. */
export type QuotedError = { readonly path: Path; readonly error: IcmpError };

/**
 * The error in a whole IP packet of either family, when it is about a UDP packet from the address that it came to.
 * Refuses what is no error, wrong checksums, and quotations that do not have both ports.
 */
export function decodeIcmpError(packet: Uint8Array): Decoded<QuotedError> {
  return (packet[0] ?? 0) >> 4 === 6 ? decodeIcmpv6Packet(packet) : decodeIcmpv4Packet(packet);
}

function decodeIcmpv4Packet(packet: Uint8Array): Decoded<QuotedError> {
  const header = decodeIpv4Header(packet, decodeOuterIpv4);
  if (!header.ok) return header;
  const { source, destination, headerLength, totalLength, protocol, fragment } = header.value;
  if (protocol !== IPPROTO_ICMP) return refuse(`IP protocol ${protocol}`);
  if (fragment) return refuse('a fragment');
  const message = packet.subarray(headerLength, totalLength);
  if (message.length < AT.quoted) return refuse(`${message.length} bytes are no ICMP message`);
  if (internetChecksum(message) !== 0) return refuse('wrong ICMP checksum');
  const [type = 0, code = 0] = message.subarray(AT.type);
  if (type !== ICMP_DEST_UNREACH && type !== ICMP_TIME_EXCEEDED) return refuse(`ICMP type ${type}`);
  const quoted = decodeQuoted(message.subarray(AT.quoted));
  if (!quoted.ok) return quoted;
  const nextHopMtu = getU16be(message, AT.nextHopMtu);
  return toldTo(destination, quoted.value, icmpError({ type, code, nextHopMtu, from: source }));
}

function decodeIcmpv6Packet(packet: Uint8Array): Decoded<QuotedError> {
  const header = decodeIpv6Header(packet, decodeOuterIpv6);
  if (!header.ok) return header;
  const { source, destination, totalLength, nextHeader } = header.value;
  if (nextHeader !== IPPROTO_ICMPV6) return refuse(whyNotPayload(nextHeader));
  const message = packet.subarray(IPV6_HEADER_LENGTH, totalLength);
  const pseudo = pseudoHeaderSum(source, destination, IPPROTO_ICMPV6, message.length);
  if (internetChecksum(message, pseudo) !== 0) return refuse('wrong ICMPv6 checksum');
  return decodeIcmpv6Error(message, { from: source, to: destination });
}

/**
 * The error in an ICMPv6 message whose checksum is right, as a raw socket has it: without the IPv6 header, whose
 * addresses the caller knows.
 */
export function decodeIcmpv6Error(
  message: Uint8Array,
  { from, to }: { readonly from: OuterIp; readonly to: OuterIp },
): Decoded<QuotedError> {
  if (message.length < AT.quoted) return refuse(`${message.length} bytes are no ICMPv6 message`);
  const [type = 0, code = 0] = message.subarray(AT.type);
  if (type < ICMPV6_DEST_UNREACH || type > ICMPV6_PARAMPROB) return refuse(`ICMPv6 type ${type}`);
  const quoted = decodeQuoted6(message.subarray(AT.quoted));
  if (!quoted.ok) return quoted;
  const nextHopMtu = getU32be(message, AT.mtu);
  return toldTo(to, quoted.value, icmpv6Error({ type, code, nextHopMtu, from }));
}

function toldTo(to: OuterIp, path: Path, error: IcmpError): Decoded<QuotedError> {
  if (path.local.ip === to) return succeed({ path, error });
  return refuse(`about a packet from ${path.local.ip}, told to ${to}`);
}

/** Where the packet came from and went to whose beginning this is. */
function decodeQuoted(bytes: Uint8Array): Decoded<Path> {
  if (bytes.length < IPV4_HEADER_LENGTH) {
    return refuse(`${bytes.length} bytes of the quoted packet`);
  }
  const versionIhl = bytes[QUOTED.versionIhl] ?? 0;
  if (versionIhl >> 4 !== 4) return refuse(`quoted IP version ${versionIhl >> 4}`);
  const headerLength = (versionIhl & 0x0f) * 4;
  if (headerLength < IPV4_HEADER_LENGTH) {
    return refuse(`a quoted IPv4 header of ${headerLength} bytes`);
  }
  if (bytes.length < headerLength + UDP_HEADER_LENGTH) {
    return refuse(`${bytes.length} bytes of the quoted packet`);
  }
  const protocol = bytes[QUOTED.protocol] ?? 0;
  if (protocol !== IPPROTO_UDP) return refuse(`quoted IP protocol ${protocol}`);
  if (getU16be(bytes, QUOTED.fragment) & FRAGMENT_OFFSET_MASK) return refuse('a quoted fragment');
  return decodePath(bytes.subarray(headerLength), {
    local: decodeOuterIpv4(bytes, QUOTED.source),
    remote: decodeOuterIpv4(bytes, QUOTED.destination),
  });
}

/** The same of an IPv6 packet. */
function decodeQuoted6(bytes: Uint8Array): Decoded<Path> {
  if (bytes.length < IPV6_HEADER_LENGTH + UDP_HEADER_LENGTH) {
    return refuse(`${bytes.length} bytes of the quoted packet`);
  }
  const version = (bytes[QUOTED.versionIhl] ?? 0) >> 4;
  if (version !== 6) return refuse(`quoted IP version ${version}`);
  const nextHeader = bytes[QUOTED6.nextHeader] ?? 0;
  if (nextHeader !== IPPROTO_UDP) return refuse(`quoted: ${whyNotPayload(nextHeader)}`);
  return decodePath(bytes.subarray(IPV6_HEADER_LENGTH), {
    local: decodeOuterIpv6(bytes, QUOTED6.source),
    remote: decodeOuterIpv6(bytes, QUOTED6.destination),
  });
}

function decodePath(
  udp: Uint8Array,
  { local, remote }: { readonly local: OuterIp; readonly remote: OuterIp },
): Decoded<Path> {
  const from = getU16be(udp, 0);
  const to = getU16be(udp, 2);
  if (from === 0 || to === 0) return refuse('quoted UDP port 0');
  return succeed({
    local: { ip: local, port: port(from) },
    remote: { ip: remote, port: port(to) },
  });
}

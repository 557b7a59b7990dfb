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
 * The quoted header is as it was where the packet ended: what a router changed in it without mending the
 * checksum is no matter, and its total length says more than is there.
 */
import { decodeOuterIpv4, type OuterIp, type Path } from '../addr.ts';
import { getU16be } from '../bytes.ts';
import type { Undelivered, UndeliveredCode } from '../events/trouble.ts';
import { refuse, succeed, type Decoded } from '../result.ts';
import { port } from '../units.ts';
import { internetChecksum } from './checksum.ts';
import { decodeIpv4Header, IPPROTO_UDP, IPV4_HEADER_LENGTH } from './ipv4.ts';
import { UDP_HEADER_LENGTH } from './udp.ts';

/** Offsets of the fields, in bytes. */
const AT = { type: 0, code: 1, nextHopMtu: 6, quoted: 8 } as const;
/** Those of the quoted packet; the ports are behind its header. */
const QUOTED = { versionIhl: 0, fragment: 6, protocol: 9, source: 12, destination: 16 } as const;
const FRAGMENT_OFFSET_MASK = 0x1fff;

export const IPPROTO_ICMP = 1;
// linux/icmp.h
export const ICMP_DEST_UNREACH = 3;
export const ICMP_FRAG_NEEDED = 4;
export const ICMP_TIME_EXCEEDED = 11;

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

/** The meaning of an error. */
export function icmpError({ type, code, nextHopMtu, from }: IcmpFields): IcmpError {
  if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED) {
    return { kind: 'too-big', mtu: nextHopMtu === 0 ? undefined : nextHopMtu };
  }
  return { kind: 'unreachable', code: undeliveredCode(type, code), from };
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

/** An error, and the way that the quoted UDP packet of ours took: from `local` to `remote`. */
export type QuotedError = { readonly path: Path; readonly error: IcmpError };

/**
 * The error in a whole IPv4 packet, when it is about a UDP packet from the address that it came to. Refuses
 * what is no error, wrong checksums, and quotations that do not have both ports.
 */
export function decodeIcmpError(packet: Uint8Array): Decoded<QuotedError> {
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
  const path = quoted.value;
  if (path.local.ip !== destination) {
    return refuse(`about a packet from ${path.local.ip}, told to ${destination}`);
  }
  const nextHopMtu = getU16be(message, AT.nextHopMtu);
  return succeed({ path, error: icmpError({ type, code, nextHopMtu, from: source }) });
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
  const from = getU16be(bytes, headerLength);
  const to = getU16be(bytes, headerLength + 2);
  if (from === 0 || to === 0) return refuse('quoted UDP port 0');
  return succeed({
    local: { ip: decodeOuterIpv4(bytes, QUOTED.source), port: port(from) },
    remote: { ip: decodeOuterIpv4(bytes, QUOTED.destination), port: port(to) },
  });
}

/**
 * What who sends a packet into the tunnel is told when it does not go on: an ICMP error (RFC 792, RFC 4443) from this
 * end's own inner address, as a router would send it. The kernel does it by the MTU of device and routes; this is for
 * what came by routes that are not ours, where the device has room for more (of a tunnel that carries IPv6 never less
 * than that needs), and for peers whose path takes no IPv6.
 *
 *     +---------------+---------------+-------------------------------+
 *     |     Type      |     Code      |           Checksum            |
 *     +---------------+---------------+-------------------------------+
 *     | the MTU where it is that: 16 bits at the end, of IPv6 all 32  |
 *     +---------------------------------------------------------------+
 *     | the packet, as much of it as fits                             |
 */
import { decodeInnerIpv4, decodeInnerIpv6, ofFamily, type InnerIp } from '../../../core/addr.ts';
import { concatBytes, encodeU16be, encodeU32be, getU16be } from '../../../core/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../core/wire/checksum.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_FRAG_NEEDED,
  ICMPV6_DEST_UNREACH,
  ICMPV6_PKT_TOOBIG,
  IPPROTO_ICMP,
} from '../../../core/wire/icmp-error.ts';
import { encodeIpv4Header, IPV4_HEADER_LENGTH } from '../../../core/wire/ipv4.ts';
import {
  encodeIpv6Header,
  IPPROTO_ICMPV6,
  IPV6_HEADER_LENGTH,
  IPV6_MIN_MTU,
} from '../../../core/wire/ipv6.ts';
import { hostWords, isMulticast, isReserved } from './ipv6-words.ts';
import { IP, IP6 } from './segmentation.ts';

/** Why a packet does not go on, of what its sender is told. */
export type Refusal =
  { readonly kind: 'no-ipv6' } | { readonly kind: 'too-big'; readonly mtu: number };

/** linux/icmpv6.h: no route to the destination. */
const ICMPV6_NOROUTE = 0;
/** From this type on messages are no errors; a redirect counts as one (RFC 4443, section 2.4 (e)). */
const ICMPV6_INFOMSG = 0x80;
const NDISC_REDIRECT = 137;
/** linux/icmp.h: what is no error. */
const QUERIES: ReadonlySet<number> = new Set([0, 8, 13, 14, 17, 18]);

const HOPS = 64;
const ICMP_HEADER = 8;
const CHECKSUM = 2;
/** Bytes of an error over IPv4 at most (RFC 1812, section 4.3.2.3). */
const IPV4_ERROR_MAX = 576;
const DONT_FRAGMENT = 0x4000;
const FRAGMENT_OFFSET_MASK = 0x1fff;

/** The error about a packet; undefined where there must be none: about another error, to no host, without own address. */
export function icmpAnswer(
  packet: Uint8Array,
  why: Refusal,
  own: readonly InnerIp[],
): Uint8Array | undefined {
  if ((packet[0] ?? 0) >> 4 === 4) {
    const from = ofFamily(own, 'ipv4');
    return from === undefined || why.kind !== 'too-big'
      ? undefined
      : ipv4Answer(packet, why.mtu, from);
  }
  const from = ofFamily(own, 'ipv6');
  return from === undefined ? undefined : ipv6Answer(packet, why, from);
}

/**
 * "Fragmentation needed", to who has forbidden it (RFC 1191). To ourselves it comes from where the packet goes: the
 * kernel takes no IPv4 packet from a device that has one of its own addresses as its source.
 */
function ipv4Answer(packet: Uint8Array, mtu: number, own: InnerIp): Uint8Array | undefined {
  const flags = getU16be(packet, IP.fragment);
  const [first = 0] = packet.subarray(IP.source);
  const noHost = first === 0 || first === 127 || first >= 224;
  if (!(flags & DONT_FRAGMENT) || flags & FRAGMENT_OFFSET_MASK || noHost) return undefined;
  const header = ((packet[0] ?? 0) & 0x0f) * 4;
  if (packet[IP.protocol] === IPPROTO_ICMP && !QUERIES.has(packet[header] ?? 0)) return undefined;
  const to = decodeInnerIpv4(packet, IP.source);
  const from = to === own ? decodeInnerIpv4(packet, IP.source + 4) : own;
  const message = concatBytes([
    Uint8Array.of(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 0, 0, 0, 0),
    encodeU16be(mtu),
    packet.subarray(0, IPV4_ERROR_MAX - IPV4_HEADER_LENGTH - ICMP_HEADER),
  ]);
  message.set(encodeU16be(internetChecksum(message)), CHECKSUM);
  const outer = encodeIpv4Header({
    payloadLength: message.length,
    identification: 0,
    dontFragment: true,
    ttl: HOPS,
    protocol: IPPROTO_ICMP,
    source: from,
    destination: to,
  });
  return concatBytes([outer, message]);
}

function ipv6Answer(packet: Uint8Array, why: Refusal, from: InnerIp): Uint8Array | undefined {
  const source = hostWords(packet.subarray(IP6.source, IP6.destination));
  if (isMulticast(source) || isReserved(source) || isIpv6Error(packet)) return undefined;
  const to = decodeInnerIpv6(packet, IP6.source);
  const [type, mtu] =
    why.kind === 'too-big' ? [ICMPV6_PKT_TOOBIG, why.mtu] : [ICMPV6_DEST_UNREACH, 0];
  const message = concatBytes([
    Uint8Array.of(type, ICMPV6_NOROUTE, 0, 0),
    encodeU32be(mtu),
    packet.subarray(0, IPV6_MIN_MTU - IPV6_HEADER_LENGTH - ICMP_HEADER),
  ]);
  const pseudo = pseudoHeaderSum(from, to, IPPROTO_ICMPV6, message.length);
  message.set(encodeU16be(internetChecksum(message, pseudo)), CHECKSUM);
  const outer = encodeIpv6Header({
    payloadLength: message.length,
    nextHeader: IPPROTO_ICMPV6,
    hopLimit: HOPS,
    source: from,
    destination: to,
  });
  return concatBytes([outer, message]);
}

function isIpv6Error(packet: Uint8Array): boolean {
  if (packet[IP6.nextHeader] !== IPPROTO_ICMPV6) return false;
  const type = packet[IPV6_HEADER_LENGTH] ?? 0;
  return type < ICMPV6_INFOMSG || type === NDISC_REDIRECT;
}

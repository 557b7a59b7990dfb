/**
 * What who sends an IPv6 packet into the tunnel is told when it does not go on: an ICMPv6 error (RFC 4443, section 3)
 * from this end's own inner address, as a router would send it. The kernel does it by the MTU of a peer's routes; this
 * is for what came by others, and for peers whose path takes no IPv6.
 *
 *     +---------------+---------------+-------------------------------+
 *     |     Type      |     Code      |           Checksum            |
 *     +---------------+---------------+-------------------------------+
 *     |         MTU ("packet too big"), or 0                          |
 *     +---------------------------------------------------------------+
 *     | as much of the packet as fits into 1280 bytes                 |
 */
import { decodeInnerIpv6, type InnerIp } from '../../../core/addr.ts';
import { concatBytes, encodeU16be, encodeU32be } from '../../../core/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../core/wire/checksum.ts';
import { ICMPV6_DEST_UNREACH, ICMPV6_PKT_TOOBIG } from '../../../core/wire/icmp-error.ts';
import {
  encodeIpv6Header,
  IPPROTO_ICMPV6,
  IPV6_HEADER_LENGTH,
  IPV6_MIN_MTU,
} from '../../../core/wire/ipv6.ts';
import { hostWords, isMulticast, isReserved } from './ipv6-words.ts';
import type { Ipv6Refusal } from './outbound.ts';
import { IP6 } from './segmentation.ts';

/** linux/icmpv6.h: no route to the destination. */
const ICMPV6_NOROUTE = 0;
/** From this type on messages are no errors; a redirect counts as one (RFC 4443, section 2.4 (e)). */
const ICMPV6_INFOMSG = 0x80;
const NDISC_REDIRECT = 137;

const HOP_LIMIT = 64;
const ICMP_HEADER = 8;
const CHECKSUM = 2;

/** The error about a packet; undefined where there must be none: about another error, or to no host. */
export function icmpv6Answer(
  packet: Uint8Array,
  why: Ipv6Refusal,
  from: InnerIp,
): Uint8Array | undefined {
  const source = hostWords(packet.subarray(IP6.source, IP6.destination));
  if (isMulticast(source) || isReserved(source) || isError(packet)) return undefined;
  const to = decodeInnerIpv6(packet, IP6.source);
  const [type, mtu] =
    why.kind === 'too-big' ? [ICMPV6_PKT_TOOBIG, why.mtu] : [ICMPV6_DEST_UNREACH, 0];
  const quoted = packet.subarray(0, IPV6_MIN_MTU - IPV6_HEADER_LENGTH - ICMP_HEADER);
  const message = concatBytes([
    Uint8Array.of(type, ICMPV6_NOROUTE, 0, 0),
    encodeU32be(mtu),
    quoted,
  ]);
  const pseudo = pseudoHeaderSum(from, to, IPPROTO_ICMPV6, message.length);
  message.set(encodeU16be(internetChecksum(message, pseudo)), CHECKSUM);
  const header = encodeIpv6Header({
    payloadLength: message.length,
    nextHeader: IPPROTO_ICMPV6,
    hopLimit: HOP_LIMIT,
    source: from,
    destination: to,
  });
  return concatBytes([header, message]);
}

function isError(packet: Uint8Array): boolean {
  if (packet[IP6.nextHeader] !== IPPROTO_ICMPV6) return false;
  const type = packet[IPV6_HEADER_LENGTH] ?? 0;
  return type < ICMPV6_INFOMSG || type === NDISC_REDIRECT;
}

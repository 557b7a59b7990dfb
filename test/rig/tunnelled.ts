import {
  decodeInnerIpv4,
  decodeInnerIpv6,
  decodeOuterIpv4,
  decodeOuterIpv6,
  type InnerIp,
  type OuterIp,
} from '../../src/core/addr.ts';
import { decodeIpv4Header, IPPROTO_UDP } from '../../src/core/wire/ipv4.ts';
import { decodeIpv6Header, IPV6_HEADER_LENGTH } from '../../src/core/wire/ipv6.ts';

/** What matters of a header of either family. */
export type IpPacket<Kind> = {
  readonly source: Kind;
  readonly destination: Kind;
  readonly protocol: number;
  readonly ttl: number;
  /** IPv6 is never fragmented on the way. */
  readonly dontFragment: boolean;
  /** 0 of IPv4. */
  readonly flowLabel: number;
  /** Header and payload. */
  readonly whole: Uint8Array;
  readonly payload: Uint8Array;
};

/** The packet as an outer one; undefined where it is none. */
export function outerPacket(bytes: Uint8Array): IpPacket<OuterIp> | undefined {
  return ipPacket(bytes, decodeOuterIpv4, decodeOuterIpv6);
}

export function innerPacket(bytes: Uint8Array): IpPacket<InnerIp> | undefined {
  return ipPacket(bytes, decodeInnerIpv4, decodeInnerIpv6);
}

function ipPacket<Kind extends OuterIp | InnerIp>(
  bytes: Uint8Array,
  decode4: (bytes: Uint8Array, offset: number) => Kind,
  decode6: (bytes: Uint8Array, offset: number) => Kind,
): IpPacket<Kind> | undefined {
  if ((bytes[0] ?? 0) >> 4 === 6) {
    const header = decodeIpv6Header(bytes, decode6);
    if (!header.ok) return undefined;
    const { nextHeader: protocol, hopLimit: ttl, totalLength, ...rest } = header.value;
    const whole = bytes.subarray(0, totalLength);
    const payload = whole.subarray(IPV6_HEADER_LENGTH);
    return { ...rest, protocol, ttl, dontFragment: true, whole, payload };
  }
  const header = decodeIpv4Header(bytes, decode4);
  if (!header.ok) return undefined;
  const { headerLength, totalLength, ...rest } = header.value;
  const whole = bytes.subarray(0, totalLength);
  return { ...rest, flowLabel: 0, whole, payload: whole.subarray(headerLength) };
}

/** UDP packets from an address among what a tap saw. */
export function tunnelled(seen: readonly Uint8Array[], from: OuterIp) {
  return seen.flatMap((bytes) => {
    const outer = outerPacket(bytes);
    if (outer?.protocol !== IPPROTO_UDP || outer.source !== from) return [];
    const udp = outer.payload;
    const view = new DataView(udp.buffer, udp.byteOffset, udp.byteLength);
    return [{ outer, checksum: view.getUint16(6), payload: udp.subarray(8) }];
  });
}

/**
 * The IFLA_INFO_DATA of tunnel devices (linux/if_tunnel.h of 6.1), which encapsulate in IPv4 or in IPv6:
 *
 * | kind     | outside | inside                 | read by                                          |
 * | -------- | ------- | ---------------------- | ------------------------------------------------ |
 * | `ipip`   | IPv4    | IPv4                   | ipip_netlink_parms() of net/ipv4/ipip.c           |
 * | `sit`    | IPv4    | IPv6 and IPv4          | ipip6_netlink_parms() of net/ipv6/sit.c           |
 * | `ip6tnl` | IPv6    | IPv6 and IPv4          | ip6_tnl_netlink_parms() of net/ipv6/ip6_tunnel.c  |
 *
 * What a change leaves out is reset, so every encoding states everything, and the encapsulation's type and
 * both ports always go together. An `ip6tnl` that says nothing else hides UDP behind a destination option
 * of 8 bytes (RFC 2473, 4.1.1): ours says no. Of `sit` IPv4 needs `mode any`, which is protocol 0.
 */
import { familyOf, type Family, type OuterIp } from '../addr.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import type { AttributeReader } from './attribute-reader.ts';
import { attrU16be, attrU16host, attrU32host, attrU8 } from './attributes.ts';
import {
  attrIp,
  decodeOuterIpv4Attribute,
  decodeOuterIpv6Attribute,
  specified,
} from './rtnetlink.ts';

const IFLA_IPTUN_LINK = 1;
const IFLA_IPTUN_LOCAL = 2;
const IFLA_IPTUN_REMOTE = 3;
const IFLA_IPTUN_TTL = 4;
const IFLA_IPTUN_FLAGS = 8;
const IFLA_IPTUN_PROTO = 9;
const IFLA_IPTUN_PMTUDISC = 10;
const IFLA_IPTUN_ENCAP_TYPE = 15;
const IFLA_IPTUN_ENCAP_FLAGS = 16;
const IFLA_IPTUN_ENCAP_SPORT = 17;
const IFLA_IPTUN_ENCAP_DPORT = 18;

const TUNNEL_ENCAP_NONE = 0;
const TUNNEL_ENCAP_FOU = 1;
const TUNNEL_ENCAP_GUE = 2;
/** Whether UDP checksums are filled in, outside IPv4 and outside IPv6. */
const TUNNEL_ENCAP_FLAG_CSUM = 1;
const TUNNEL_ENCAP_FLAG_CSUM6 = 2;

/** linux/ip6_tunnel.h: no tunnel encapsulation limit. */
const IP6_TNL_F_IGN_ENCAP_LIMIT = 1;

/** linux/in.h: what is inside an `ipip` device. */
const IPPROTO_IPIP = 4;
/** Whatever the device knows. */
const ANY_PROTOCOL = 0;

export type IpTunnelKind = 'ipip' | 'sit' | 'ip6tnl';

/** UDP around the tunnel. */
export type FouEncap = {
  /** Whether UDP checksums are filled in. */
  readonly checksum: boolean;
  /** 0 = the kernel takes one by the hash of the flow. */
  readonly sourcePort: number;
  readonly destinationPort: number;
};

/** Addresses are of the family outside (`outsideOf`). */
export type IpTunnel = {
  readonly kind: IpTunnelKind;
  /** Outer device, part of the tunnel's identity; undefined = whatever the route says. */
  readonly link: IfIndex | undefined;
  readonly local: OuterIp | undefined;
  readonly remote: OuterIp | undefined;
  /** TTL or hop limit of the outer header; 0 = the inner packet's. */
  readonly ttl: number;
  /** Whether outer packets carry DF; what is in IPv6 is never fragmented on the way. */
  readonly pmtuDiscovery: boolean;
  readonly encap: FouEncap | undefined;
};

/** A tunnel as the kernel has it: its encapsulation may be of another making. */
export type IpTunnelDevice = Omit<IpTunnel, 'encap'> & {
  readonly encap: (FouEncap & { readonly type: 'fou' | 'gue' | 'other' }) | undefined;
};

/** The family that a device encapsulates in. */
export function outsideOf(kind: IpTunnelKind): Family {
  return kind === 'ip6tnl' ? 'ipv6' : 'ipv4';
}

/** The kind of a link, where it is one of these. */
export function parseIpTunnelKind(kind: string | undefined): IpTunnelKind | undefined {
  return kind === 'ipip' || kind === 'sit' || kind === 'ip6tnl' ? kind : undefined;
}

/** Throws RangeError for an address of another family (a bug). */
export function encodeIpTunnelData(tunnel: IpTunnel): readonly Uint8Array[] {
  const { kind, link, local, remote, ttl, pmtuDiscovery, encap } = tunnel;
  const address = (type: number, ip: OuterIp | undefined): readonly Uint8Array[] => {
    if (ip === undefined) return [];
    if (familyOf(ip) !== outsideOf(kind)) throw new RangeError(`${ip} is no address of ${kind}`);
    return [attrIp(type, ip)];
  };
  return [
    attrU32host(IFLA_IPTUN_LINK, link ?? 0),
    ...address(IFLA_IPTUN_LOCAL, local),
    ...address(IFLA_IPTUN_REMOTE, remote),
    attrU8(IFLA_IPTUN_TTL, ttl),
    kind === 'ip6tnl'
      ? attrU32host(IFLA_IPTUN_FLAGS, IP6_TNL_F_IGN_ENCAP_LIMIT)
      : attrU8(IFLA_IPTUN_PMTUDISC, pmtuDiscovery ? 1 : 0),
    attrU8(IFLA_IPTUN_PROTO, kind === 'ipip' ? IPPROTO_IPIP : ANY_PROTOCOL),
    attrU16host(IFLA_IPTUN_ENCAP_TYPE, encap ? TUNNEL_ENCAP_FOU : TUNNEL_ENCAP_NONE),
    attrU16host(IFLA_IPTUN_ENCAP_FLAGS, encap?.checksum ? checksumFlag(kind) : 0),
    attrU16be(IFLA_IPTUN_ENCAP_SPORT, encap?.sourcePort ?? 0),
    attrU16be(IFLA_IPTUN_ENCAP_DPORT, encap?.destinationPort ?? 0),
  ];
}

/** Reads the nest; what is malformed is remembered by the reader. */
export function decodeIpTunnelData(kind: IpTunnelKind, data: AttributeReader): IpTunnelDevice {
  const link = data.u32host(IFLA_IPTUN_LINK);
  const decodeAddress =
    outsideOf(kind) === 'ipv4' ? decodeOuterIpv4Attribute : decodeOuterIpv6Attribute;
  return {
    kind,
    link: link ? ifIndex(link) : undefined,
    local: specified(data.as(IFLA_IPTUN_LOCAL, decodeAddress)),
    remote: specified(data.as(IFLA_IPTUN_REMOTE, decodeAddress)),
    ttl: data.u8(IFLA_IPTUN_TTL) ?? 0,
    pmtuDiscovery: kind === 'ip6tnl' || data.u8(IFLA_IPTUN_PMTUDISC) !== 0,
    encap: decodeEncap(kind, data),
  };
}

function decodeEncap(kind: IpTunnelKind, data: AttributeReader): IpTunnelDevice['encap'] {
  const type = data.u16host(IFLA_IPTUN_ENCAP_TYPE) ?? TUNNEL_ENCAP_NONE;
  const flags = data.u16host(IFLA_IPTUN_ENCAP_FLAGS) ?? 0;
  const sourcePort = data.u16be(IFLA_IPTUN_ENCAP_SPORT) ?? 0;
  const destinationPort = data.u16be(IFLA_IPTUN_ENCAP_DPORT) ?? 0;
  if (type === TUNNEL_ENCAP_NONE) return undefined;
  return {
    type: type === TUNNEL_ENCAP_FOU ? 'fou' : type === TUNNEL_ENCAP_GUE ? 'gue' : 'other',
    checksum: (flags & checksumFlag(kind)) !== 0,
    sourcePort,
    destinationPort,
  };
}

function checksumFlag(kind: IpTunnelKind): number {
  return outsideOf(kind) === 'ipv4' ? TUNNEL_ENCAP_FLAG_CSUM : TUNNEL_ENCAP_FLAG_CSUM6;
}

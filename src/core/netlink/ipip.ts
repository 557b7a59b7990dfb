/**
 * The IFLA_INFO_DATA of an `ipip` device (linux/if_tunnel.h of 6.1; read by ipip_netlink_parms() of
 * net/ipv4/ipip.c). What a change leaves out is reset, so every encoding states everything, and
 * the encapsulation's type and both ports always go together.
 */
import type { OuterIp } from '../addr.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import type { AttributeReader } from './attribute-reader.ts';
import { attrU16be, attrU16host, attrU32host, attrU8 } from './attributes.ts';
import { attrIpv4, decodeOuterIpv4Attribute, specified } from './rtnetlink.ts';

const IFLA_IPTUN_LINK = 1;
const IFLA_IPTUN_LOCAL = 2;
const IFLA_IPTUN_REMOTE = 3;
const IFLA_IPTUN_TTL = 4;
const IFLA_IPTUN_PROTO = 9;
const IFLA_IPTUN_PMTUDISC = 10;
const IFLA_IPTUN_ENCAP_TYPE = 15;
const IFLA_IPTUN_ENCAP_FLAGS = 16;
const IFLA_IPTUN_ENCAP_SPORT = 17;
const IFLA_IPTUN_ENCAP_DPORT = 18;

const TUNNEL_ENCAP_NONE = 0;
const TUNNEL_ENCAP_FOU = 1;
const TUNNEL_ENCAP_GUE = 2;
const TUNNEL_ENCAP_FLAG_CSUM = 1;

/** linux/in.h: IPv4 in IPv4; the only payload asked for. */
const IPPROTO_IPIP = 4;

/** UDP around the tunnel. */
export type FouEncap = {
  /** Whether UDP checksums are filled in. */
  readonly checksum: boolean;
  /** 0 = the kernel takes one by the hash of the flow. */
  readonly sourcePort: number;
  readonly destinationPort: number;
};

export type IpipTunnel = {
  /** Outer device, part of the tunnel's identity; undefined = whatever the route says. */
  readonly link: IfIndex | undefined;
  readonly local: OuterIp | undefined;
  readonly remote: OuterIp | undefined;
  /** TTL of the outer header; 0 = the inner packet's. */
  readonly ttl: number;
  /** Whether outer packets carry DF. */
  readonly pmtuDiscovery: boolean;
  readonly encap: FouEncap | undefined;
};

/** A tunnel as the kernel has it: its encapsulation may be of another making. */
export type IpipDevice = Omit<IpipTunnel, 'encap'> & {
  readonly encap: (FouEncap & { readonly type: 'fou' | 'gue' | 'other' }) | undefined;
};

export function encodeIpipData(tunnel: IpipTunnel): readonly Uint8Array[] {
  const { link, local, remote, ttl, pmtuDiscovery, encap } = tunnel;
  return [
    attrU32host(IFLA_IPTUN_LINK, link ?? 0),
    ...(local === undefined ? [] : [attrIpv4(IFLA_IPTUN_LOCAL, local)]),
    ...(remote === undefined ? [] : [attrIpv4(IFLA_IPTUN_REMOTE, remote)]),
    attrU8(IFLA_IPTUN_TTL, ttl),
    attrU8(IFLA_IPTUN_PMTUDISC, pmtuDiscovery ? 1 : 0),
    attrU8(IFLA_IPTUN_PROTO, IPPROTO_IPIP),
    attrU16host(IFLA_IPTUN_ENCAP_TYPE, encap ? TUNNEL_ENCAP_FOU : TUNNEL_ENCAP_NONE),
    attrU16host(IFLA_IPTUN_ENCAP_FLAGS, encap?.checksum ? TUNNEL_ENCAP_FLAG_CSUM : 0),
    attrU16be(IFLA_IPTUN_ENCAP_SPORT, encap?.sourcePort ?? 0),
    attrU16be(IFLA_IPTUN_ENCAP_DPORT, encap?.destinationPort ?? 0),
  ];
}

/** Reads the nest; what is malformed is remembered by the reader. */
export function decodeIpipData(data: AttributeReader): IpipDevice {
  const link = data.u32host(IFLA_IPTUN_LINK);
  return {
    link: link ? ifIndex(link) : undefined,
    local: specified(data.as(IFLA_IPTUN_LOCAL, decodeOuterIpv4Attribute)),
    remote: specified(data.as(IFLA_IPTUN_REMOTE, decodeOuterIpv4Attribute)),
    ttl: data.u8(IFLA_IPTUN_TTL) ?? 0,
    pmtuDiscovery: data.u8(IFLA_IPTUN_PMTUDISC) !== 0,
    encap: decodeEncap(data),
  };
}

function decodeEncap(data: AttributeReader): IpipDevice['encap'] {
  const type = data.u16host(IFLA_IPTUN_ENCAP_TYPE) ?? TUNNEL_ENCAP_NONE;
  const flags = data.u16host(IFLA_IPTUN_ENCAP_FLAGS) ?? 0;
  const sourcePort = data.u16be(IFLA_IPTUN_ENCAP_SPORT) ?? 0;
  const destinationPort = data.u16be(IFLA_IPTUN_ENCAP_DPORT) ?? 0;
  if (type === TUNNEL_ENCAP_NONE) return undefined;
  return {
    type: type === TUNNEL_ENCAP_FOU ? 'fou' : type === TUNNEL_ENCAP_GUE ? 'gue' : 'other',
    checksum: (flags & TUNNEL_ENCAP_FLAG_CSUM) !== 0,
    sourcePort,
    destinationPort,
  };
}

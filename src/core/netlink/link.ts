/**
 * Links (linux/rtnetlink.h of 6.1, struct ifinfomsg; the host's byte order; attributes IFLA_* of
 * linux/if_link.h follow):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     | ifi_family    | 0             | ifi_type (ARPHRD_*)            |
 *     +---------------+---------------+-------------------------------+
 *     | ifi_index                                                      |
 *     +---------------------------------------------------------------+
 *     | ifi_flags (IFF_*)                                              |
 *     +---------------------------------------------------------------+
 *     | ifi_change (which of the flags a request sets)                 |
 *     +---------------------------------------------------------------+
 */
import { refuse, succeed, type Decoded } from '../result.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import { attributeReader, type AttributeReader } from './attribute-reader.ts';
import { attrNested, attrString, attrU32host, attrU8 } from './attributes.ts';
import { concatBytes, encodeU32host, getU16host, getU32host, getU64host } from '../bytes.ts';
import {
  decodeIpTunnelData,
  encodeIpTunnelData,
  parseIpTunnelKind,
  type IpTunnel,
  type IpTunnelDevice,
} from './ip-tunnel.ts';
import { NLM_F_CREATE, NLM_F_EXCL, type NetlinkCall } from './message.ts';
import { RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK } from './rtnetlink.ts';

const IFINFOMSG = { family: 0, type: 2, index: 4, flags: 8, change: 12, length: 16 } as const;

// linux/if.h
export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_NOARP = 0x80;
export const IFF_MULTICAST = 0x1000;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
const IFLA_AF_SPEC = 26;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;

// sys/socket.h, linux/if_link.h
const AF_INET6 = 10;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;

/** struct rtnl_link_stats64; longer with every few kernels. */
const STATS64 = { rxPackets: 0, txPackets: 8, rxBytes: 16, txBytes: 24, length: 32 } as const;

/** Since the device was made. */
export type LinkStats = {
  readonly rxPackets: bigint;
  readonly rxBytes: bigint;
  readonly txPackets: bigint;
  readonly txBytes: bigint;
};

export type Link = {
  readonly index: IfIndex;
  readonly name: string;
  /** "veth", "ipip"; undefined for what has no kind (the loopback, most real devices). */
  readonly kind: string | undefined;
  readonly mtu: number;
  /** Administratively up (IFF_UP). */
  readonly up: boolean;
  /** IFF_* */
  readonly flags: number;
  /** ARPHRD_*: what the device's link headers are like. */
  readonly hardware: number;
  /** Of the link layer, as long as that has it; undefined where it has none. */
  readonly address: Uint8Array | undefined;
  /** The device this one is on top of, or the other end of a veth pair. */
  readonly parent: IfIndex | undefined;
  readonly stats: LinkStats | undefined;
  /** Of a device of kind `ipip`, `sit` or `ip6tnl`. */
  readonly tunnel: IpTunnelDevice | undefined;
};

/** A device to make. */
export type LinkSpec = {
  readonly name: string;
  readonly kind: string;
  /** Attributes of the kind's IFLA_INFO_DATA. */
  readonly data?: readonly Uint8Array[];
  readonly parent?: IfIndex | undefined;
  readonly mtu?: number | undefined;
  readonly up?: boolean | undefined;
};

/** A tunnel device to make, or what to make of one of its kind. */
export type IpTunnelSpec = IpTunnel & { readonly name: string };

/** What to change of a link; absent = as it is. */
export type LinkChange = {
  readonly up?: boolean | undefined;
  readonly mtu?: number | undefined;
  readonly name?: string | undefined;
  /** Whether neighbours are looked for (ARP). */
  readonly arp?: boolean | undefined;
  /** Whether multicast may be sent; without it the kernel announces no groups. */
  readonly multicast?: boolean | undefined;
  /** `none`: IPv6 gives the link no address by itself. */
  readonly ipv6Addresses?: 'none' | undefined;
};

function encodeIfinfomsg(index: number, flags: number, change: number): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG.length);
  bytes.set(encodeU32host(index), IFINFOMSG.index);
  bytes.set(encodeU32host(flags), IFINFOMSG.flags);
  bytes.set(encodeU32host(change), IFINFOMSG.change);
  return bytes;
}

function linkInfo(kind: string, data: readonly Uint8Array[] | undefined): Uint8Array {
  return attrNested(IFLA_LINKINFO, [
    attrString(IFLA_INFO_KIND, kind),
    ...(data ? [attrNested(IFLA_INFO_DATA, data)] : []),
  ]);
}

function optional<T>(
  value: T | undefined,
  encode: (value: T) => Uint8Array,
): readonly Uint8Array[] {
  return value === undefined ? [] : [encode(value)];
}

/** Makes a device; EEXIST when its name (or, of a tunnel, its address pair) is taken. */
export function encodeNewLink(spec: LinkSpec): NetlinkCall {
  const change = spec.up === undefined ? 0 : IFF_UP;
  return {
    operation: 'RTM_NEWLINK',
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: concatBytes([
      encodeIfinfomsg(0, spec.up ? IFF_UP : 0, change),
      attrString(IFLA_IFNAME, spec.name),
      ...optional(spec.mtu, (mtu) => attrU32host(IFLA_MTU, mtu)),
      ...optional(spec.parent, (parent) => attrU32host(IFLA_LINK, parent)),
      linkInfo(spec.kind, spec.data),
    ]),
  };
}

export function encodeNewIpTunnel(spec: IpTunnelSpec): NetlinkCall {
  return encodeNewLink({ name: spec.name, kind: spec.kind, data: encodeIpTunnelData(spec) });
}

/** Re-points a tunnel device in place; it must be of the kind that is said. */
export function encodeChangeIpTunnel(index: IfIndex, tunnel: IpTunnel): NetlinkCall {
  return {
    operation: 'RTM_NEWLINK',
    type: RTM_NEWLINK,
    flags: 0,
    payload: concatBytes([
      encodeIfinfomsg(index, 0, 0),
      linkInfo(tunnel.kind, encodeIpTunnelData(tunnel)),
    ]),
  };
}

export function encodeSetLink(index: IfIndex, change: LinkChange): NetlinkCall {
  const { mtu, name, ipv6Addresses } = change;
  const { flags, changed } = flagsOf(change);
  return {
    operation: 'RTM_NEWLINK',
    type: RTM_NEWLINK,
    flags: 0,
    payload: concatBytes([
      encodeIfinfomsg(index, flags, changed),
      ...optional(mtu, (value) => attrU32host(IFLA_MTU, value)),
      ...optional(name, (value) => attrString(IFLA_IFNAME, value)),
      ...optional(ipv6Addresses, () => noIpv6Addresses()),
    ]),
  };
}

function flagsOf({ up, arp, multicast }: LinkChange): {
  readonly flags: number;
  readonly changed: number;
} {
  const noarp = arp === undefined ? undefined : !arp;
  const wanted: readonly (readonly [number, boolean | undefined])[] = [
    [IFF_UP, up],
    [IFF_NOARP, noarp],
    [IFF_MULTICAST, multicast],
  ];
  let [flags, changed] = [0, 0];
  for (const [flag, value] of wanted) {
    if (value !== undefined) changed |= flag;
    if (value) flags |= flag;
  }
  return { flags, changed };
}

function noIpv6Addresses(): Uint8Array {
  const mode = attrU8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  return attrNested(IFLA_AF_SPEC, [attrNested(AF_INET6, [mode])]);
}

export function encodeDelLink(index: IfIndex): NetlinkCall {
  const payload = encodeIfinfomsg(index, 0, 0);
  return { operation: 'RTM_DELLINK', type: RTM_DELLINK, flags: 0, payload };
}

/** One link, or with `all` every one of them (a dump). */
export function encodeGetLink(which: 'all' | { name: string } | { index: IfIndex }): NetlinkCall {
  const index = which !== 'all' && 'index' in which ? which.index : 0;
  const name = which !== 'all' && 'name' in which ? [attrString(IFLA_IFNAME, which.name)] : [];
  return {
    operation: 'RTM_GETLINK',
    type: RTM_GETLINK,
    flags: 0,
    payload: concatBytes([encodeIfinfomsg(index, 0, 0), ...name]),
  };
}

/** ifi_family of a payload: AF_UNSPEC tells of the link itself, others (AF_BRIDGE) of a role it has. */
export function linkFamily(payload: Uint8Array): number | undefined {
  return payload[IFINFOMSG.family];
}

/** The payload of RTM_NEWLINK or RTM_DELLINK. */
export function decodeLink(payload: Uint8Array): Decoded<Link> {
  if (payload.length < IFINFOMSG.length) return refuse(`link: ${payload.length} bytes`);
  const reader = attributeReader(payload.subarray(IFINFOMSG.length), 'link');
  const info = reader.nested(IFLA_LINKINFO);
  const kind = info.string(IFLA_INFO_KIND);
  const flags = getU32host(payload, IFINFOMSG.flags);
  const parent = reader.u32host(IFLA_LINK);
  return reader.done({
    index: ifIndex(getU32host(payload, IFINFOMSG.index)),
    name: reader.string(IFLA_IFNAME) ?? '',
    kind,
    mtu: reader.u32host(IFLA_MTU) ?? 0,
    up: (flags & IFF_UP) !== 0,
    flags,
    hardware: getU16host(payload, IFINFOMSG.type),
    address: reader.bytes(IFLA_ADDRESS)?.slice(),
    parent: parent ? ifIndex(parent) : undefined,
    stats: reader.as(IFLA_STATS64, decodeStats),
    tunnel: tunnelOf(kind, info),
  });
}

/** RTM_DELLINK of some kernels says the kind and no more. */
function tunnelOf(text: string | undefined, info: AttributeReader): IpTunnelDevice | undefined {
  const kind = parseIpTunnelKind(text);
  if (kind === undefined || info.bytes(IFLA_INFO_DATA) === undefined) return undefined;
  return decodeIpTunnelData(kind, info.nested(IFLA_INFO_DATA));
}

function decodeStats(payload: Uint8Array): Decoded<LinkStats> {
  if (payload.length < STATS64.length) return refuse(`counters in ${payload.length} bytes`);
  return succeed({
    rxPackets: getU64host(payload, STATS64.rxPackets),
    rxBytes: getU64host(payload, STATS64.rxBytes),
    txPackets: getU64host(payload, STATS64.txPackets),
    txBytes: getU64host(payload, STATS64.txBytes),
  });
}

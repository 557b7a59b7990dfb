/**
 * Routes (linux/rtnetlink.h of 6.1, struct rtmsg; attributes RTA_* follow):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+---------------+---------------+
 *     | rtm_family    | rtm_dst_len   | rtm_src_len   | rtm_tos       |
 *     +---------------+---------------+---------------+---------------+
 *     | rtm_table     | rtm_protocol  | rtm_scope     | rtm_type      |
 *     +---------------+---------------+---------------+---------------+
 *     | rtm_flags (host)                                               |
 *     +---------------------------------------------------------------+
 */
import { bitsOf, encodeIp, familyOf, type Family, type Ip } from '../addr.ts';
import { refuse, type Decoded } from '../result.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import { attributeReader } from './attribute-reader.ts';
import { attrBytes, attrNestedUnmarked, attrU32host } from './attributes.ts';
import { concatBytes, encodeU16host, encodeU32host, getU16host, getU32host } from '../bytes.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type NetlinkCall } from './message.ts';
import {
  attrIp,
  decodeFamily,
  decodeIpAttribute,
  decodeScope,
  encodeFamily,
  encodeScope,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  unspecified,
  type Scope,
} from './rtnetlink.ts';

const RTMSG = {
  family: 0,
  dstLen: 1,
  table: 4,
  protocol: 5,
  scope: 6,
  type: 7,
  flags: 8,
  length: 12,
} as const;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
/** A gateway of another family than the route's (struct rtvia: its family u16, its address). */
const RTA_VIA = 18;
const RTAX_MTU = 2;

const RTN_UNSPEC = 0;
/** rtm_type by name; others are left as `other`. */
const types = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
} as const;
export type RouteType = keyof typeof types;

export const RTPROT_UNSPEC = 0;
export const RTPROT_KERNEL = 2;
export const RTPROT_STATIC = 4;

export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

/** IP6_RT_PRIO_USER of linux/ipv6_route.h: what IPv6 makes of a route without a metric; IPv4 makes it 0. */
const IP6_RT_PRIO_USER = 1024;

/** The metric that a route has when it was made without one. */
export function plainPriority(family: Family): number {
  return family === 'ipv4' ? 0 : IP6_RT_PRIO_USER;
}

/** The answer to a lookup names the table that decided. IPv6 always does, and refuses the flag. */
const RTM_F_LOOKUP_TABLE = 0x1000;
/** The answer to a lookup is the table's entry, without what was learnt of the path. */
const RTM_F_FIB_MATCH = 0x2000;
/** A cached route, not a table's. */
const RTM_F_CLONED = 0x200;

/** A route to add, or to remove: there, what is left out matches any. */
export type RouteSpec = {
  /** 0.0.0.0 or :: with prefix 0 for the default route. */
  readonly destination: Ip;
  /** 0..32, 0..128 */
  readonly prefix: number;
  readonly oif?: IfIndex | undefined;
  readonly gateway?: Ip | undefined;
  /** Preferred source address. */
  readonly source?: Ip | undefined;
  /** The metric that `ip route` prints; of routes to one destination the lowest wins. By default `plainPriority`. */
  readonly priority?: number | undefined;
  /** 1..2^32-1; the main table by default. */
  readonly table?: number | undefined;
  /** Who made it (RTPROT_*, 0..255); RTPROT_STATIC by default. */
  readonly protocol?: number | undefined;
  /** By default `link` without a gateway, `global` with one; IPv6 takes no notice. */
  readonly scope?: Scope | undefined;
  /** `unicast` by default. */
  readonly type?: RouteType | undefined;
  readonly mtu?: number | undefined;
};

export type Route = {
  readonly destination: Ip;
  readonly prefix: number;
  readonly oif: IfIndex | undefined;
  readonly gateway: Ip | undefined;
  readonly source: Ip | undefined;
  readonly priority: number | undefined;
  readonly table: number;
  readonly protocol: number;
  readonly scope: Scope;
  readonly type: RouteType | 'other';
  /** Of the route, or learnt of the path (in the answer to a lookup); undefined = the device's. */
  readonly mtu: number | undefined;
  /** Part of the cache of learnt routes. */
  readonly cloned: boolean;
};

type Header = {
  readonly family: Family;
  readonly dstLen: number;
  readonly table?: number;
  readonly protocol?: number;
  readonly scope?: number;
  readonly type?: number;
  readonly flags?: number;
};

function encodeRtmsg(header: Header): Uint8Array {
  const bytes = new Uint8Array(RTMSG.length);
  bytes[RTMSG.family] = encodeFamily(header.family);
  bytes[RTMSG.dstLen] = header.dstLen;
  bytes[RTMSG.table] = header.table !== undefined && header.table < 256 ? header.table : 0;
  bytes[RTMSG.protocol] = header.protocol ?? RTPROT_UNSPEC;
  bytes[RTMSG.scope] = header.scope ?? 0;
  bytes[RTMSG.type] = header.type ?? RTN_UNSPEC;
  bytes.set(encodeU32host(header.flags ?? 0), RTMSG.flags);
  return bytes;
}

/** Of a table whose number the header's byte cannot hold. */
function tableAttribute(table: number | undefined): readonly Uint8Array[] {
  return table === undefined || table < 256 ? [] : [attrU32host(RTA_TABLE, table)];
}

function attributesOf(spec: RouteSpec, table: number): readonly Uint8Array[] {
  const { destination, prefix, oif, gateway, source, priority, mtu } = spec;
  return [
    ...(prefix === 0 ? [] : [attrIp(RTA_DST, destination)]),
    ...(gateway === undefined ? [] : [gatewayAttribute(gateway, familyOf(destination))]),
    ...(source === undefined ? [] : [attrIp(RTA_PREFSRC, source)]),
    ...(priority === undefined ? [] : [attrU32host(RTA_PRIORITY, priority)]),
    ...tableAttribute(table),
    ...(oif === undefined ? [] : [attrU32host(RTA_OIF, oif)]),
    ...(mtu === undefined ? [] : [attrNestedUnmarked(RTA_METRICS, [attrU32host(RTAX_MTU, mtu)])]),
  ];
}

function gatewayAttribute(gateway: Ip, family: Family): Uint8Array {
  const own = familyOf(gateway);
  if (own === family) return attrIp(RTA_GATEWAY, gateway);
  return attrBytes(RTA_VIA, concatBytes([encodeU16host(encodeFamily(own)), encodeIp(gateway)]));
}

/** The scope that fits a route by its type and whether it has a gateway. */
function naturalScope(spec: RouteSpec): Scope {
  if (familyOf(spec.destination) === 'ipv6') return 'global';
  if (spec.type === 'local') return 'host';
  return spec.gateway === undefined && (spec.type ?? 'unicast') === 'unicast' ? 'link' : 'global';
}

/** Adds a route: EEXIST when there is one, unless `replace`. */
export function encodeNewRoute(spec: RouteSpec, mode: 'create' | 'replace'): NetlinkCall {
  const table = spec.table ?? RT_TABLE_MAIN;
  const header = {
    family: familyOf(spec.destination),
    dstLen: spec.prefix,
    table,
    protocol: spec.protocol ?? RTPROT_STATIC,
    scope: encodeScope(spec.scope ?? naturalScope(spec)),
    type: types[spec.type ?? 'unicast'],
  };
  return {
    operation: 'RTM_NEWROUTE',
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | (mode === 'replace' ? NLM_F_REPLACE : NLM_F_EXCL),
    payload: concatBytes([encodeRtmsg(header), ...attributesOf(spec, table)]),
  };
}

export function encodeDelRoute(spec: RouteSpec): NetlinkCall {
  const table = spec.table ?? RT_TABLE_MAIN;
  const family = familyOf(spec.destination);
  const header = {
    family,
    dstLen: spec.prefix,
    table,
    protocol: spec.protocol ?? RTPROT_UNSPEC,
    scope: encodeScope(spec.scope ?? (family === 'ipv4' ? 'nowhere' : 'global')),
    type: spec.type === undefined ? RTN_UNSPEC : types[spec.type],
  };
  return {
    operation: 'RTM_DELROUTE',
    type: RTM_DELROUTE,
    flags: 0,
    payload: concatBytes([encodeRtmsg(header), ...attributesOf(spec, table)]),
  };
}

/**
 * Which route the kernel would take to `remote`, out of `oif` if given: `path` with all it has learnt of
 * the path (from ICMP), or `table` as it stands in its table.
 */
export function encodeRouteLookup(
  remote: Ip,
  oif: IfIndex | undefined,
  view: 'path' | 'table' = 'path',
): NetlinkCall {
  const family = familyOf(remote);
  const always = family === 'ipv4' ? RTM_F_LOOKUP_TABLE : 0;
  const flags = always | (view === 'table' ? RTM_F_FIB_MATCH : 0);
  return {
    operation: 'RTM_GETROUTE',
    type: RTM_GETROUTE,
    flags: 0,
    payload: concatBytes([
      encodeRtmsg({ family, dstLen: bitsOf(family), flags }),
      attrIp(RTA_DST, remote),
      ...(oif === undefined ? [] : [attrU32host(RTA_OIF, oif)]),
    ]),
  };
}

/** A dump of a family's routes in one table, or in all. */
export function encodeGetRoutes(family: Family, table: number | undefined): NetlinkCall {
  return {
    operation: 'RTM_GETROUTE',
    type: RTM_GETROUTE,
    flags: 0,
    payload: concatBytes([
      encodeRtmsg({ family, dstLen: 0, ...(table === undefined ? {} : { table }) }),
      ...tableAttribute(table),
    ]),
  };
}

/** The payload of RTM_NEWROUTE or RTM_DELROUTE. */
export function decodeRoute(payload: Uint8Array): Decoded<Route> {
  if (payload.length < RTMSG.length) return refuse(`route: ${payload.length} bytes`);
  const family = decodeFamily(payload[RTMSG.family]);
  if (family === undefined) return refuse(`route of family ${payload[RTMSG.family]}`);
  const decodeIp = decodeIpAttribute(family);
  const reader = attributeReader(payload.subarray(RTMSG.length), 'route');
  const oif = reader.u32host(RTA_OIF);
  const type = payload[RTMSG.type];
  const names = Object.keys(types) as RouteType[]; // Object.keys widens to string[]
  return reader.done({
    destination: reader.as(RTA_DST, decodeIp) ?? unspecified(family),
    prefix: payload[RTMSG.dstLen] ?? 0,
    oif: oif ? ifIndex(oif) : undefined,
    gateway: reader.as(RTA_GATEWAY, decodeIp) ?? reader.as(RTA_VIA, decodeVia),
    source: reader.as(RTA_PREFSRC, decodeIp),
    priority: reader.u32host(RTA_PRIORITY),
    table: reader.u32host(RTA_TABLE) ?? payload[RTMSG.table] ?? 0,
    protocol: payload[RTMSG.protocol] ?? 0,
    scope: decodeScope(payload[RTMSG.scope] ?? 0),
    type: names.find((name) => types[name] === type) ?? 'other',
    mtu: reader.nested(RTA_METRICS).u32host(RTAX_MTU),
    cloned: (getU32host(payload, RTMSG.flags) & RTM_F_CLONED) !== 0,
  });
}

function decodeVia(payload: Uint8Array): Decoded<Ip> {
  if (payload.length < 2) return refuse(`a gateway of ${payload.length} bytes`);
  const family = decodeFamily(getU16host(payload, 0));
  if (family === undefined) return refuse(`a gateway of family ${getU16host(payload, 0)}`);
  return decodeIpAttribute(family)(payload.subarray(2));
}

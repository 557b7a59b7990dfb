/**
 * Addresses of links (linux/if_addr.h of 6.1, struct ifaddrmsg; attributes IFA_* follow):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+---------------+---------------+
 *     | ifa_family    | ifa_prefixlen | ifa_flags     | ifa_scope     |
 *     +---------------+---------------+---------------+---------------+
 *     | ifa_index (host)                                               |
 *     +---------------------------------------------------------------+
 *
 * IFA_LOCAL is the link's own address; IFA_ADDRESS is the other end's, or the own one where there
 * is no other end.
 */
import { familyOf, type Family, type Ip } from '../addr.ts';
import { refuse, type Decoded } from '../result.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import { attributeReader } from './attribute-reader.ts';
import { attrBytes, attrU32host, attrU8 } from './attributes.ts';
import { concatBytes, encodeU32host, getU32host } from '../bytes.ts';
import { NLM_F_CREATE, NLM_F_EXCL, type NetlinkCall } from './message.ts';
import {
  attrIp,
  decodeFamily,
  decodeIpAttribute,
  decodeScope,
  encodeFamily,
  encodeScope,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
  type Scope,
} from './rtnetlink.ts';

const IFADDRMSG = { family: 0, prefixlen: 1, flags: 2, scope: 3, index: 4, length: 8 } as const;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_PROTO = 11;

/** One that the kernel made for a while (RFC 8981). */
export const IFA_F_TEMPORARY = 0x01;
/** Used at once, whether or not another host has it (no duplicate address detection). */
export const IFA_F_NODAD = 0x02;
/** Another host has it. */
export const IFA_F_DADFAILED = 0x08;
/** Not for new connections. */
export const IFA_F_DEPRECATED = 0x20;
/** Not known yet whether another host has it. */
export const IFA_F_TENTATIVE = 0x40;
/** The prefix makes no route of its own. */
export const IFA_F_NOPREFIXROUTE = 0x200;

/** An address to add to a link, or to remove from it (index, ip, peer and prefix name it). */
export type AddressSpec = {
  readonly index: IfIndex;
  readonly ip: Ip;
  /** The other end of a point-to-point link; `prefix` is then of its address. */
  readonly peer?: Ip | undefined;
  /** 0..32, 0..128 */
  readonly prefix: number;
  /** `global` by default. */
  readonly scope?: Scope | undefined;
  /** IPv6. */
  readonly noDad?: boolean | undefined;
  /** IPv6: the kernel chooses it as the source of nothing that does not ask for it. */
  readonly deprecated?: boolean | undefined;
  readonly noPrefixRoute?: boolean | undefined;
  /** Who made it (IFA_PROTO, 0..255): an administrator's mark, from 5.18 on. */
  readonly protocol?: number | undefined;
};

export type Address = {
  readonly index: IfIndex;
  readonly ip: Ip;
  readonly peer: Ip | undefined;
  readonly prefix: number;
  readonly scope: Scope;
  /** IFA_F_* */
  readonly flags: number;
  readonly protocol: number | undefined;
};

function encodeIfaddrmsg(family: Family, index: number, prefix = 0, scope = 0): Uint8Array {
  const bytes = new Uint8Array(IFADDRMSG.length);
  bytes[IFADDRMSG.family] = encodeFamily(family);
  bytes[IFADDRMSG.prefixlen] = prefix;
  bytes[IFADDRMSG.scope] = scope;
  bytes.set(encodeU32host(index), IFADDRMSG.index);
  return bytes;
}

function identity(spec: AddressSpec): readonly Uint8Array[] {
  return [
    encodeIfaddrmsg(
      familyOf(spec.ip),
      spec.index,
      spec.prefix,
      encodeScope(spec.scope ?? 'global'),
    ),
    attrIp(IFA_LOCAL, spec.ip),
    attrIp(IFA_ADDRESS, spec.peer ?? spec.ip),
  ];
}

/** Struct ifa_cacheinfo: preferred for no second, valid for ever (INFINITY_LIFE_TIME), two times that the kernel sets. */
const DEPRECATED = Uint8Array.from([
  ...encodeU32host(0),
  ...encodeU32host(0xffff_ffff),
  ...new Uint8Array(8),
]);

/** Adds an address; EEXIST when the link has it. */
export function encodeNewAddress(spec: AddressSpec): NetlinkCall {
  const { noDad, noPrefixRoute, deprecated, protocol } = spec;
  const flags = (noDad ? IFA_F_NODAD : 0) | (noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0);
  return {
    operation: 'RTM_NEWADDR',
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: concatBytes([
      ...identity(spec),
      ...(flags === 0 ? [] : [attrU32host(IFA_FLAGS, flags)]),
      ...(deprecated ? [attrBytes(IFA_CACHEINFO, DEPRECATED)] : []),
      ...(protocol === undefined ? [] : [attrU8(IFA_PROTO, protocol)]),
    ]),
  };
}

export function encodeDelAddress(spec: AddressSpec): NetlinkCall {
  const payload = concatBytes(identity(spec));
  return { operation: 'RTM_DELADDR', type: RTM_DELADDR, flags: 0, payload };
}

/** A dump of all addresses of a family, or of one link's (kernels without strict checking answer with all). */
export function encodeGetAddresses(family: Family, index: IfIndex | undefined): NetlinkCall {
  const payload = encodeIfaddrmsg(family, index ?? 0);
  return { operation: 'RTM_GETADDR', type: RTM_GETADDR, flags: 0, payload };
}

/** The payload of RTM_NEWADDR or RTM_DELADDR. */
export function decodeAddress(payload: Uint8Array): Decoded<Address> {
  if (payload.length < IFADDRMSG.length) return refuse(`address: ${payload.length} bytes`);
  const family = decodeFamily(payload[IFADDRMSG.family]);
  if (family === undefined) return refuse(`address of family ${payload[IFADDRMSG.family]}`);
  const reader = attributeReader(payload.subarray(IFADDRMSG.length), 'address');
  const address = reader.as(IFA_ADDRESS, decodeIpAttribute(family));
  const local = reader.as(IFA_LOCAL, decodeIpAttribute(family)) ?? address;
  const flags = reader.u32host(IFA_FLAGS) ?? payload[IFADDRMSG.flags] ?? 0;
  const protocol = reader.u8(IFA_PROTO);
  if (local === undefined) {
    const malformed = reader.done(undefined);
    return malformed.ok ? refuse('address: it has none') : malformed;
  }
  return reader.done({
    index: ifIndex(getU32host(payload, IFADDRMSG.index)),
    ip: local,
    peer: address === local ? undefined : address,
    prefix: payload[IFADDRMSG.prefixlen] ?? 0,
    scope: decodeScope(payload[IFADDRMSG.scope] ?? 0),
    flags,
    protocol,
  });
}

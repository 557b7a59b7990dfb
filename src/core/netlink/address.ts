/**
 * IPv4 addresses of links (linux/if_addr.h of 6.1, struct ifaddrmsg; attributes IFA_* follow):
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
import type { Ip } from '../addr.ts';
import { refuse, type Decoded } from '../result.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import { attributeReader } from './attribute-reader.ts';
import { attrU32host, attrU8 } from './attributes.ts';
import { concatBytes, encodeU32host, getU32host } from '../bytes.ts';
import { NLM_F_CREATE, NLM_F_EXCL, type NetlinkCall } from './message.ts';
import {
  AF_INET,
  attrIpv4,
  decodeIpv4Attribute,
  decodeScope,
  encodeScope,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
  type Scope,
} from './rtnetlink.ts';

const IFADDRMSG = { family: 0, prefixlen: 1, flags: 2, scope: 3, index: 4, length: 8 } as const;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_PROTO = 11;

/** The prefix makes no route of its own. */
export const IFA_F_NOPREFIXROUTE = 0x200;

/** An address to add to a link, or to remove from it (index, ip, peer and prefix name it). */
export type AddressSpec = {
  readonly index: IfIndex;
  readonly ip: Ip;
  /** The other end of a point-to-point link; `prefix` is then of its address. */
  readonly peer?: Ip | undefined;
  /** 0..32 */
  readonly prefix: number;
  /** `global` by default. */
  readonly scope?: Scope | undefined;
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

function encodeIfaddrmsg(index: number, prefix: number, scope: Scope): Uint8Array {
  const bytes = new Uint8Array(IFADDRMSG.length);
  bytes[IFADDRMSG.family] = AF_INET;
  bytes[IFADDRMSG.prefixlen] = prefix;
  bytes[IFADDRMSG.scope] = encodeScope(scope);
  bytes.set(encodeU32host(index), IFADDRMSG.index);
  return bytes;
}

function identity(spec: AddressSpec): readonly Uint8Array[] {
  return [
    encodeIfaddrmsg(spec.index, spec.prefix, spec.scope ?? 'global'),
    attrIpv4(IFA_LOCAL, spec.ip),
    attrIpv4(IFA_ADDRESS, spec.peer ?? spec.ip),
  ];
}

/** Adds an address; EEXIST when the link has it. */
export function encodeNewAddress(spec: AddressSpec): NetlinkCall {
  const { noPrefixRoute, protocol } = spec;
  return {
    operation: 'RTM_NEWADDR',
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: concatBytes([
      ...identity(spec),
      ...(noPrefixRoute ? [attrU32host(IFA_FLAGS, IFA_F_NOPREFIXROUTE)] : []),
      ...(protocol === undefined ? [] : [attrU8(IFA_PROTO, protocol)]),
    ]),
  };
}

export function encodeDelAddress(spec: AddressSpec): NetlinkCall {
  const payload = concatBytes(identity(spec));
  return { operation: 'RTM_DELADDR', type: RTM_DELADDR, flags: 0, payload };
}

/** A dump of all IPv4 addresses, or of one link's (kernels without strict checking answer with all). */
export function encodeGetAddresses(index: IfIndex | undefined): NetlinkCall {
  const payload = encodeIfaddrmsg(index ?? 0, 0, 'global');
  return { operation: 'RTM_GETADDR', type: RTM_GETADDR, flags: 0, payload };
}

/** The payload of RTM_NEWADDR or RTM_DELADDR, IPv4. */
export function decodeAddress(payload: Uint8Array): Decoded<Address> {
  if (payload.length < IFADDRMSG.length) return refuse(`address: ${payload.length} bytes`);
  if (payload[IFADDRMSG.family] !== AF_INET) {
    return refuse(`address of family ${payload[IFADDRMSG.family]}`);
  }
  const reader = attributeReader(payload.subarray(IFADDRMSG.length), 'address');
  const address = reader.as(IFA_ADDRESS, decodeIpv4Attribute);
  const local = reader.as(IFA_LOCAL, decodeIpv4Attribute) ?? address;
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

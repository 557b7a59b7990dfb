/**
 * Rules of policy routing (linux/fib_rules.h of 6.1, struct fib_rule_hdr; attributes FRA_* follow):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+---------------+---------------+
 *     | family        | dst_len       | src_len       | tos           |
 *     +---------------+---------------+---------------+---------------+
 *     | table         | reserved                      | action        |
 *     +---------------+---------------+---------------+---------------+
 *     | flags (host)                                                   |
 *     +---------------------------------------------------------------+
 */
import type { Family, Ip } from '../addr.ts';
import { concatBytes } from '../bytes.ts';
import type { Mark } from '../config/syntax-reach.ts';
import { refuse, type Decoded } from '../result.ts';
import { attributeReader } from './attribute-reader.ts';
import { attrBytes, attrU32host } from './attributes.ts';
import { NLM_F_CREATE, NLM_F_EXCL, type NetlinkCall } from './message.ts';
import { attrIp, decodeFamily, decodeIpAttribute, encodeFamily } from './rtnetlink.ts';

export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;
export const RTNLGRP_IPV4_RULE = 8;
export const RTNLGRP_IPV6_RULE = 19;

const HEADER = { family: 0, srcLen: 2, table: 4, action: 7, length: 12 } as const;
const FRA_SRC = 2;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_PROTOCOL = 21;
const FR_ACT_TO_TBL = 1;
/** What a rule that leaves nothing out says. */
const SUPPRESS_NONE = 0xffff_ffff;

/** A rule that looks a table up. */
export type RuleSpec = {
  readonly family: Family;
  /** The lowest is asked first. */
  readonly priority: number;
  readonly table: number;
  /** Who made it (RTPROT_*). */
  readonly protocol: number;
  /** Only packets with this mark; */
  readonly mark?: Mark | undefined;
  /** only those from this address. */
  readonly source?: { readonly ip: Ip; readonly length: number } | undefined;
  /** Routes of the table with prefixes of this length or shorter do not count: 0 leaves the default route out. */
  readonly suppressLength?: number | undefined;
};

/** As the kernel lists one; `table` is 0 where it looks none up. */
export type Rule = RuleSpec;

function encode(spec: RuleSpec): Uint8Array {
  const { family, priority, table, protocol, mark, source, suppressLength } = spec;
  const header = new Uint8Array(HEADER.length);
  header[HEADER.family] = encodeFamily(family);
  header[HEADER.srcLen] = source?.length ?? 0;
  header[HEADER.table] = table < 256 ? table : 0;
  header[HEADER.action] = FR_ACT_TO_TBL;
  return concatBytes([
    header,
    ...(source === undefined ? [] : [attrIp(FRA_SRC, source.ip)]),
    attrU32host(FRA_PRIORITY, priority),
    ...(mark === undefined
      ? []
      : [attrU32host(FRA_FWMARK, mark.value), attrU32host(FRA_FWMASK, mark.mask)]),
    ...(suppressLength === undefined ? [] : [attrU32host(FRA_SUPPRESS_PREFIXLEN, suppressLength)]),
    attrU32host(FRA_TABLE, table),
    attrBytes(FRA_PROTOCOL, Uint8Array.of(protocol)),
  ]);
}

/** EEXIST when there is the same. */
export function encodeNewRule(spec: RuleSpec): NetlinkCall {
  return {
    operation: 'RTM_NEWRULE',
    type: RTM_NEWRULE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: encode(spec),
  };
}

export function encodeDelRule(spec: RuleSpec): NetlinkCall {
  return { operation: 'RTM_DELRULE', type: RTM_DELRULE, flags: 0, payload: encode(spec) };
}

/** A dump of a family's rules. */
export function encodeGetRules(family: Family): NetlinkCall {
  const header = new Uint8Array(HEADER.length);
  header[HEADER.family] = encodeFamily(family);
  return { operation: 'RTM_GETRULE', type: RTM_GETRULE, flags: 0, payload: header };
}

/** The payload of RTM_NEWRULE or RTM_DELRULE. */
export function decodeRule(payload: Uint8Array): Decoded<Rule> {
  if (payload.length < HEADER.length) return refuse(`rule: ${payload.length} bytes`);
  const family = decodeFamily(payload[HEADER.family]);
  if (family === undefined) return refuse(`rule of family ${payload[HEADER.family]}`);
  const reader = attributeReader(payload.subarray(HEADER.length), 'rule');
  const value = reader.u32host(FRA_FWMARK);
  const mask = reader.u32host(FRA_FWMASK);
  const suppressed = reader.u32host(FRA_SUPPRESS_PREFIXLEN);
  const ip = reader.as(FRA_SRC, decodeIpAttribute(family));
  return reader.done({
    family,
    priority: reader.u32host(FRA_PRIORITY) ?? 0,
    table: reader.u32host(FRA_TABLE) ?? payload[HEADER.table] ?? 0,
    protocol: reader.bytes(FRA_PROTOCOL)?.[0] ?? 0,
    mark: mask ? { value: value ?? 0, mask } : undefined,
    source: ip && { ip, length: payload[HEADER.srcLen] ?? 0 },
    suppressLength: suppressed === SUPPRESS_NONE ? undefined : suppressed,
  });
}

export function sameRule(a: RuleSpec, b: RuleSpec): boolean {
  return (
    a.family === b.family &&
    a.priority === b.priority &&
    a.table === b.table &&
    a.mark?.value === b.mark?.value &&
    a.mark?.mask === b.mark?.mask &&
    a.source?.ip === b.source?.ip &&
    a.source?.length === b.source?.length &&
    a.suppressLength === b.suppressLength
  );
}

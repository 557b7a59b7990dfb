/**
 * Conntrack entries (linux/netfilter/nfnetlink_conntrack.h of 6.1), each after a struct nfgenmsg
 * (linux/netfilter/nfnetlink.h):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     | nfgen_family  | version (0)   | res_id (network order, 0)      |
 *     +---------------+---------------+-------------------------------+
 *
 * Numbers in the attributes are in the network's byte order.
 */
import { familyOf, type Family, type OuterIp } from '../addr.ts';
import { refuse, type Decoded } from '../result.ts';
import { attributeReader, type AttributeReader } from './attribute-reader.ts';
import { attrNested, attrU16be, attrU32be, attrU8 } from './attributes.ts';
import { concatBytes } from '../bytes.ts';
import type { NetlinkCall } from './message.ts';
import {
  attrIp,
  decodeFamily,
  decodeOuterIpv4Attribute,
  decodeOuterIpv6Attribute,
  encodeFamily,
} from './rtnetlink.ts';

const NFGENMSG = { family: 0, version: 1, resId: 2, length: 4 } as const;

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
/** CTA_IP_V4_SRC and so on: source and destination. */
const CTA_IP = { ipv4: [1, 2], ipv6: [3, 4] } as const;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;

/** linux/in.h */
export const IPPROTO_UDP = 17;

/** One direction of a connection, as its packets say it. */
export type Tuple = {
  readonly source: OuterIp;
  readonly destination: OuterIp;
  /** IP protocol number. */
  readonly protocol: number;
  /** 0 where the protocol has none. */
  readonly sourcePort: number;
  readonly destinationPort: number;
};

export type ConntrackEntry = {
  readonly original: Tuple;
  /** What the answers say; NAT is the difference to `original` turned round. */
  readonly reply: Tuple;
  /** Tells this entry from a later one with the same tuples. */
  readonly id: number | undefined;
  /** 0 = the usual one. */
  readonly zone: number;
};

function encodeNfgenmsg(family: Family): Uint8Array {
  const bytes = new Uint8Array(NFGENMSG.length);
  bytes[NFGENMSG.family] = encodeFamily(family);
  return bytes;
}

/** A dump of all entries of a family. */
export function encodeGetConntrack(family: Family): NetlinkCall {
  return {
    operation: 'IPCTNL_MSG_CT_GET',
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET,
    flags: 0,
    payload: encodeNfgenmsg(family),
  };
}

/** Removes one entry; ENOENT when it is gone. */
export function encodeDelConntrack(entry: ConntrackEntry): NetlinkCall {
  const { original, id, zone } = entry;
  const family = familyOf(original.source);
  const [source, destination] = CTA_IP[family];
  return {
    operation: 'IPCTNL_MSG_CT_DELETE',
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
    flags: 0,
    payload: concatBytes([
      encodeNfgenmsg(family),
      attrNested(CTA_TUPLE_ORIG, [
        attrNested(CTA_TUPLE_IP, [
          attrIp(source, original.source),
          attrIp(destination, original.destination),
        ]),
        attrNested(CTA_TUPLE_PROTO, [
          attrU8(CTA_PROTO_NUM, original.protocol),
          attrU16be(CTA_PROTO_SRC_PORT, original.sourcePort),
          attrU16be(CTA_PROTO_DST_PORT, original.destinationPort),
        ]),
      ]),
      ...(id === undefined ? [] : [attrU32be(CTA_ID, id)]),
      ...(zone === 0 ? [] : [attrU16be(CTA_ZONE, zone)]),
    ]),
  };
}

/** One entry of the dump. */
export function decodeConntrack(payload: Uint8Array): Decoded<ConntrackEntry> {
  if (payload.length < NFGENMSG.length) return refuse(`conntrack: ${payload.length} bytes`);
  const family = decodeFamily(payload[NFGENMSG.family]);
  if (family === undefined) return refuse(`conntrack: family ${payload[NFGENMSG.family]}`);
  const reader = attributeReader(payload.subarray(NFGENMSG.length), 'conntrack');
  const original = tupleOf(family, reader.nested(CTA_TUPLE_ORIG));
  const reply = tupleOf(family, reader.nested(CTA_TUPLE_REPLY));
  const id = reader.u32be(CTA_ID);
  const zone = reader.u16be(CTA_ZONE) ?? 0;
  if (original && reply) return reader.done({ original, reply, id, zone });
  const malformed = reader.done(undefined);
  return malformed.ok ? refuse('conntrack: a tuple is incomplete') : malformed;
}

function tupleOf(family: Family, reader: AttributeReader): Tuple | undefined {
  const decodeAddress = family === 'ipv4' ? decodeOuterIpv4Attribute : decodeOuterIpv6Attribute;
  const [sourceType, destinationType] = CTA_IP[family];
  const ip = reader.nested(CTA_TUPLE_IP);
  const proto = reader.nested(CTA_TUPLE_PROTO);
  const source = ip.as(sourceType, decodeAddress);
  const destination = ip.as(destinationType, decodeAddress);
  const protocol = proto.u8(CTA_PROTO_NUM);
  if (source === undefined || destination === undefined || protocol === undefined) return undefined;
  return {
    source,
    destination,
    protocol,
    sourcePort: proto.u16be(CTA_PROTO_SRC_PORT) ?? 0,
    destinationPort: proto.u16be(CTA_PROTO_DST_PORT) ?? 0,
  };
}

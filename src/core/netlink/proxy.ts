/**
 * Addresses that a link answers for though they are elsewhere: proxy entries of the neighbour table
 * (linux/neighbour.h of 6.1, struct ndmsg; attributes NDA_* follow):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     | ndm_family    | padding                                       |
 *     +---------------+-----------------------------------------------+
 *     | ndm_ifindex (host)                                             |
 *     +-------------------------------+---------------+---------------+
 *     | ndm_state (host)              | ndm_flags     | ndm_type      |
 *     +-------------------------------+---------------+---------------+
 */
import { familyOf, type Family, type Ip } from '../addr.ts';
import { concatBytes, encodeU32host, getU32host } from '../bytes.ts';
import { refuse, type Decoded } from '../result.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import { attributeReader } from './attribute-reader.ts';
import { NLM_F_CREATE, NLM_F_REPLACE, type NetlinkCall } from './message.ts';
import { attrIp, decodeFamily, decodeIpAttribute, encodeFamily } from './rtnetlink.ts';

export const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;

const HEADER = { family: 0, index: 4, flags: 10, length: 12 } as const;
const NDA_DST = 1;
const NTF_PROXY = 0x08;

export type ProxyEntry = { readonly index: IfIndex; readonly ip: Ip };

function header(family: Family, index: number): Uint8Array {
  const bytes = new Uint8Array(HEADER.length);
  bytes[HEADER.family] = encodeFamily(family);
  bytes.set(encodeU32host(index), HEADER.index);
  bytes[HEADER.flags] = NTF_PROXY;
  return bytes;
}

function payloadOf({ index, ip }: ProxyEntry): Uint8Array {
  return concatBytes([header(familyOf(ip), index), attrIp(NDA_DST, ip)]);
}

/** No failure where there is the same. */
export function encodeNewProxy(entry: ProxyEntry): NetlinkCall {
  return {
    operation: 'RTM_NEWNEIGH',
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: payloadOf(entry),
  };
}

/** ENOENT where there is none. */
export function encodeDelProxy(entry: ProxyEntry): NetlinkCall {
  return { operation: 'RTM_DELNEIGH', type: RTM_DELNEIGH, flags: 0, payload: payloadOf(entry) };
}

/** A dump of a family's proxy entries. */
export function encodeGetProxies(family: Family): NetlinkCall {
  return { operation: 'RTM_GETNEIGH', type: RTM_GETNEIGH, flags: 0, payload: header(family, 0) };
}

/** The payload of RTM_NEWNEIGH. */
export function decodeProxy(payload: Uint8Array): Decoded<ProxyEntry> {
  if (payload.length < HEADER.length) return refuse(`neighbour: ${payload.length} bytes`);
  const family = decodeFamily(payload[HEADER.family]);
  if (family === undefined) return refuse(`neighbour of family ${payload[HEADER.family]}`);
  const reader = attributeReader(payload.subarray(HEADER.length), 'neighbour');
  const ip = reader.as(NDA_DST, decodeIpAttribute(family));
  if (ip === undefined) return refuse('neighbour without an address');
  return reader.done({ index: ifIndex(getU32host(payload, HEADER.index)), ip });
}

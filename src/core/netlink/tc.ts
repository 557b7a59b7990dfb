/**
 * Traffic control: the clsact qdisc, and BPF classifiers on it (linux/rtnetlink.h, linux/pkt_sched.h
 * and linux/pkt_cls.h of 6.1; struct tcmsg in the host's byte order; attributes TCA_* follow):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     | tcm_family    | 0             | 0                              |
 *     +---------------+---------------+-------------------------------+
 *     | tcm_ifindex                                                    |
 *     +---------------------------------------------------------------+
 *     | tcm_handle (of the qdisc, or of the filter)                    |
 *     +---------------------------------------------------------------+
 *     | tcm_parent (where it hangs)                                    |
 *     +---------------------------------------------------------------+
 *     | tcm_info (of a filter: priority << 16 | protocol, net order)   |
 *     +---------------------------------------------------------------+
 */
import {
  concatBytes,
  encodeU16be,
  encodeU16host,
  encodeU32host,
  getU16be,
  getU16host,
  getU32host,
} from '../bytes.ts';
import { refuse, type Decoded } from '../result.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import { attributeReader, type AttributeReader } from './attribute-reader.ts';
import { attrNested, attrString, attrU32host } from './attributes.ts';
import { NLM_F_CREATE, NLM_F_EXCL, type NetlinkCall } from './message.ts';

export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;
export const RTNLGRP_TC = 4;

const TCMSG = { ifindex: 4, handle: 8, parent: 12, info: 16, length: 20 } as const;

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_BPF_FD = 6;
const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
const TCA_BPF_ID = 11;
/** The program's result is the action (`direct-action` of tc-bpf(8)). */
const TCA_BPF_FLAG_ACT_DIRECT = 1;

/** TC_H_CLSACT, which is TC_H_INGRESS: a device has one qdisc of either kind. */
const TC_H_CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
/** TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS) and so on. */
const parents = { ingress: 0xfffffff2, egress: 0xfffffff3 } as const;

// Object.keys widens to string[].
const directions = Object.keys(parents) as readonly (keyof typeof parents)[];

/** linux/if_ether.h */
export const ETH_P_ALL = 0x0003;
export const ETH_P_IP = 0x0800;

/** Which way packets go that a filter sees. */
export type Direction = keyof typeof parents;

/** Where a filter is: together these name one. */
export type FilterPlace = {
  readonly index: IfIndex;
  readonly direction: Direction;
  /** 1..65535; filters of a lower number see packets first. */
  readonly priority: number;
  /** 1..; tells filters of one priority apart. */
  readonly handle: number;
  /** ETH_P_*; of one priority all filters have the same. */
  readonly protocol: number;
};

export type BpfFilterSpec = FilterPlace & {
  /** Descriptor of the program. */
  readonly program: number;
  /** What `tc filter show` prints. */
  readonly name: string;
};

export type Filter = Omit<FilterPlace, 'direction'> & {
  /** undefined: of another qdisc than clsact. */
  readonly direction: Direction | undefined;
  /** "bpf", "flower", …; the head of a priority, which is no filter itself, has handle 0. */
  readonly kind: string;
  /** Of a BPF classifier. */
  readonly bpf: BpfClassifier | undefined;
};

export type Qdisc = {
  readonly index: IfIndex;
  /** "clsact" has both hooks, "ingress" only that one; others queue packets. */
  readonly kind: string;
};

/** A BPF classifier, as far as the kernel tells. */
export type BpfClassifier = { readonly name: string; readonly programId: number | undefined };

function encodeTcmsg(index: number, handle: number, parent: number, info: number): Uint8Array {
  const bytes = new Uint8Array(TCMSG.length);
  bytes.set(encodeU32host(index), TCMSG.ifindex);
  bytes.set(encodeU32host(handle), TCMSG.handle);
  bytes.set(encodeU32host(parent), TCMSG.parent);
  bytes.set(encodeU32host(info), TCMSG.info);
  return bytes;
}

function placeOf(place: FilterPlace): Uint8Array {
  const { index, handle, direction, priority, protocol } = place;
  // The two bytes of the protocol are in network order within a number in the host's.
  const info = ((priority << 16) | getU16host(encodeU16be(protocol), 0)) >>> 0;
  return encodeTcmsg(index, handle, parents[direction], info);
}

/** Gives a device the clsact qdisc; EEXIST when it has one of the two. */
export function encodeNewClsact(index: IfIndex): NetlinkCall {
  return {
    operation: 'RTM_NEWQDISC',
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: concatBytes([
      encodeTcmsg(index, CLSACT_HANDLE, TC_H_CLSACT, 0),
      attrString(TCA_KIND, 'clsact'),
    ]),
  };
}

/** Takes it away, with every filter on it. */
export function encodeDelClsact(index: IfIndex): NetlinkCall {
  return {
    operation: 'RTM_DELQDISC',
    type: RTM_DELQDISC,
    flags: 0,
    payload: concatBytes([
      encodeTcmsg(index, CLSACT_HANDLE, TC_H_CLSACT, 0),
      attrString(TCA_KIND, 'clsact'),
    ]),
  };
}

/** A dump of every device's qdiscs. */
export function encodeGetQdiscs(): NetlinkCall {
  const payload = encodeTcmsg(0, 0, 0, 0);
  return { operation: 'RTM_GETQDISC', type: RTM_GETQDISC, flags: 0, payload };
}

/** Adds a BPF classifier, or puts another program in its place without letting a packet by. */
export function encodeReplaceBpfFilter(spec: BpfFilterSpec): NetlinkCall {
  return {
    operation: 'RTM_NEWTFILTER',
    type: RTM_NEWTFILTER,
    flags: NLM_F_CREATE,
    payload: concatBytes([
      placeOf(spec),
      attrString(TCA_KIND, 'bpf'),
      attrNested(TCA_OPTIONS, [
        attrU32host(TCA_BPF_FD, spec.program),
        attrString(TCA_BPF_NAME, spec.name),
        attrU32host(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT),
      ]),
    ]),
  };
}

export function encodeDelBpfFilter(place: FilterPlace): NetlinkCall {
  return {
    operation: 'RTM_DELTFILTER',
    type: RTM_DELTFILTER,
    flags: 0,
    payload: concatBytes([placeOf(place), attrString(TCA_KIND, 'bpf')]),
  };
}

/** A dump of the filters of one hook of a device; empty where it has no such qdisc. */
export function encodeGetFilters(index: IfIndex, direction: Direction): NetlinkCall {
  const payload = encodeTcmsg(index, 0, parents[direction], 0);
  return { operation: 'RTM_GETTFILTER', type: RTM_GETTFILTER, flags: 0, payload };
}

/** The payload of RTM_NEWQDISC or RTM_DELQDISC. */
export function decodeQdisc(payload: Uint8Array): Decoded<Qdisc> {
  if (payload.length < TCMSG.length) return refuse(`qdisc: ${payload.length} bytes`);
  const reader = attributeReader(payload.subarray(TCMSG.length), 'qdisc');
  const index = ifIndex(getU32host(payload, TCMSG.ifindex));
  return reader.done({ index, kind: reader.string(TCA_KIND) ?? '' });
}

/** The payload of RTM_NEWTFILTER or RTM_DELTFILTER. */
export function decodeFilter(payload: Uint8Array): Decoded<Filter> {
  if (payload.length < TCMSG.length) return refuse(`filter: ${payload.length} bytes`);
  const reader = attributeReader(payload.subarray(TCMSG.length), 'filter');
  const kind = reader.string(TCA_KIND) ?? '';
  const parent = getU32host(payload, TCMSG.parent);
  const info = getU32host(payload, TCMSG.info);
  return reader.done({
    index: ifIndex(getU32host(payload, TCMSG.ifindex)),
    direction: directions.find((name) => parents[name] === parent),
    priority: info >>> 16,
    handle: getU32host(payload, TCMSG.handle),
    protocol: getU16be(encodeU16host(info & 0xffff), 0),
    kind,
    bpf: kind === 'bpf' ? bpfOf(reader.nested(TCA_OPTIONS)) : undefined,
  });
}

function bpfOf(options: AttributeReader): BpfClassifier {
  return { name: options.string(TCA_BPF_NAME) ?? '', programId: options.u32host(TCA_BPF_ID) };
}

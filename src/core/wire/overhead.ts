import { familyOf, type Family, type OuterIp } from '../addr.ts';
import { MAX_TAGGED_LENGTH, TAG_LENGTH } from '../tag/layout.ts';
import { IPV4_HEADER_LENGTH } from './ipv4.ts';
import { IPV6_HEADER_LENGTH } from './ipv6.ts';
import { UDP_HEADER_LENGTH } from './udp.ts';

/** Bytes that the encapsulation adds on a path of this outer family: an IP header without options, and UDP's. */
export function overheadOf(family: Family): number {
  return (family === 'ipv4' ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH) + UDP_HEADER_LENGTH;
}

/** The largest inner packet of outer ones of `outer` bytes to a remote; undefined where that is not known. */
export function insideOf(remote: OuterIp, outer: number | undefined): number | undefined {
  return outer === undefined ? undefined : outer - overheadOf(familyOf(remote));
}

/** The largest inner packet where one of `mtu` bytes would fit, were there no tag before it. */
export function insideTags(mtu: number): number {
  return Math.min(mtu - TAG_LENGTH, MAX_TAGGED_LENGTH);
}

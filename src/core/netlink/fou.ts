/**
 * FOU listeners: UDP ports whose packets the kernel strips (linux/fou.h of 6.1, generic netlink
 * family `fou`, version 1). A listener is named by everything it was added with: port, family,
 * local address and device; removing needs them all.
 */
import type { Family, OuterIp } from '../addr.ts';
import { refuse, type Decoded } from '../result.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import { attrU16be, attrU32host, attrU8 } from './attributes.ts';
import { concatBytes } from '../bytes.ts';
import { encodeGenlmsghdr, genericReader } from './generic.ts';
import type { NetlinkCall } from './message.ts';
import {
  attrIp,
  decodeFamily,
  decodeOuterIpv4Attribute,
  decodeOuterIpv6Attribute,
  encodeFamily,
  specified,
} from './rtnetlink.ts';

export const FOU_GENL_NAME = 'fou';
const FOU_GENL_VERSION = 1;

const FOU_CMD_ADD = 1;
const FOU_CMD_DEL = 2;
const FOU_CMD_GET = 3;

const FOU_ATTR_PORT = 1;
const FOU_ATTR_AF = 2;
const FOU_ATTR_IPPROTO = 3;
const FOU_ATTR_TYPE = 4;
const FOU_ATTR_LOCAL_V4 = 6;
const FOU_ATTR_LOCAL_V6 = 7;
const FOU_ATTR_PEER_V4 = 8;
const FOU_ATTR_PEER_V6 = 9;
const FOU_ATTR_PEER_PORT = 10;
const FOU_ATTR_IFINDEX = 11;

const FOU_ENCAP_DIRECT = 1;
const FOU_ENCAP_GUE = 2;

/** What tells one listener from another; those of both families have one port each. */
export type FouIdentity = {
  readonly family: Family;
  readonly port: number;
  /** Bound to this address; undefined = to all. */
  readonly local?: OuterIp | undefined;
  /** Bound to this device; undefined = to none. */
  readonly device?: IfIndex | undefined;
  /** Connected to this address and port. */
  readonly peer?: OuterIp | undefined;
  readonly peerPort?: number | undefined;
};

/** A listener to make. */
export type FouSpec = FouIdentity & {
  /** IP protocol number of what is inside, 1..255; unused with `gue`, which tells IPv4 from IPv6 itself. */
  readonly ipproto: number;
  /** `direct` (bare payload) by default. */
  readonly type?: 'direct' | 'gue' | undefined;
};

export type FouListener = FouIdentity & {
  readonly ipproto: number;
  readonly type: 'direct' | 'gue' | 'other';
};

function identity(listener: FouIdentity): readonly Uint8Array[] {
  const { family, port, local, device, peer, peerPort } = listener;
  const [localType, peerType] =
    family === 'ipv4'
      ? [FOU_ATTR_LOCAL_V4, FOU_ATTR_PEER_V4]
      : [FOU_ATTR_LOCAL_V6, FOU_ATTR_PEER_V6];
  return [
    attrU16be(FOU_ATTR_PORT, port),
    attrU8(FOU_ATTR_AF, encodeFamily(family)),
    ...(local === undefined ? [] : [attrIp(localType, local)]),
    ...(peer === undefined ? [] : [attrIp(peerType, peer)]),
    ...(peerPort === undefined ? [] : [attrU16be(FOU_ATTR_PEER_PORT, peerPort)]),
    ...(device === undefined ? [] : [attrU32host(FOU_ATTR_IFINDEX, device)]),
  ];
}

/** Adds a listener; EADDRINUSE when something has the UDP port. */
export function encodeAddFou(family: number, spec: FouSpec): NetlinkCall {
  const gue = spec.type === 'gue';
  return {
    operation: 'FOU_CMD_ADD',
    type: family,
    flags: 0,
    payload: concatBytes([
      encodeGenlmsghdr(FOU_CMD_ADD, FOU_GENL_VERSION),
      ...identity(spec),
      // Newer kernels refuse the protocol 0 that older tools sent along with GUE.
      ...(gue ? [] : [attrU8(FOU_ATTR_IPPROTO, spec.ipproto)]),
      attrU8(FOU_ATTR_TYPE, gue ? FOU_ENCAP_GUE : FOU_ENCAP_DIRECT),
    ]),
  };
}

export function encodeDelFou(family: number, listener: FouIdentity): NetlinkCall {
  return {
    operation: 'FOU_CMD_DEL',
    type: family,
    flags: 0,
    payload: concatBytes([encodeGenlmsghdr(FOU_CMD_DEL, FOU_GENL_VERSION), ...identity(listener)]),
  };
}

/** A dump of the namespace's listeners. */
export function encodeGetFou(family: number): NetlinkCall {
  const payload = encodeGenlmsghdr(FOU_CMD_GET, FOU_GENL_VERSION);
  return { operation: 'FOU_CMD_GET', type: family, flags: 0, payload };
}

/** One listener of the dump. */
export function decodeFou(payload: Uint8Array): Decoded<FouListener> {
  const opened = genericReader(payload, FOU_CMD_GET, 'FOU listener');
  if (!opened.ok) return opened;
  const reader = opened.value;
  const port = reader.u16be(FOU_ATTR_PORT);
  const type = reader.u8(FOU_ATTR_TYPE);
  const device = reader.s32host(FOU_ATTR_IFINDEX);
  const peerPort = reader.u16be(FOU_ATTR_PEER_PORT);
  const family = decodeFamily(reader.u8(FOU_ATTR_AF));
  if (port === undefined || family === undefined) {
    const malformed = reader.done(undefined);
    return malformed.ok ? refuse('FOU listener: it has no port or no family') : malformed;
  }
  const address = (v4: number, v6: number): OuterIp | undefined =>
    specified(
      family === 'ipv4'
        ? reader.as(v4, decodeOuterIpv4Attribute)
        : reader.as(v6, decodeOuterIpv6Attribute),
    );
  return reader.done<FouListener>({
    port,
    family,
    ipproto: reader.u8(FOU_ATTR_IPPROTO) ?? 0,
    type: type === FOU_ENCAP_DIRECT ? 'direct' : type === FOU_ENCAP_GUE ? 'gue' : 'other',
    local: address(FOU_ATTR_LOCAL_V4, FOU_ATTR_LOCAL_V6),
    device: device ? ifIndex(device) : undefined,
    peer: address(FOU_ATTR_PEER_V4, FOU_ATTR_PEER_V6),
    peerPort: peerPort === 0 ? undefined : peerPort,
  });
}

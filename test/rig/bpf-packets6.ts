import { encodeIp, type Family, type Ip, type OuterIp } from '../../src/core/addr.ts';
import { concatBytes, encodeU16be, encodeU32be } from '../../src/core/bytes.ts';
import { internetChecksum } from '../../src/core/wire/checksum.ts';
import { inner, ip } from './addresses.ts';
import {
  AUTH_LENGTH,
  ETHERNET,
  filler,
  frame,
  INNER_LOCAL,
  INNER_REMOTE,
  innerPacket,
  LOCAL,
  LOCAL_PORT,
  outerFrame,
  REMOTE,
  REMOTE_PORT,
  udpHeader,
  type Fate,
  type UdpFields,
} from './bpf-packets.ts';

/*
 * Packets of IPv6 for the eBPF programs, and of IPv4 around and within them, byte by byte, so that every field can
 * be wrong; and what must become of them, written down a second time.
 */

export const LOCAL6 = ip('2001:db8::1');
export const REMOTE6 = ip('2001:db8:51::7');
export const INNER_LOCAL6 = inner('fd28::1');
export const INNER_REMOTE6 = inner('fd28::2');

export const ETH_P_IPV6 = 0x86dd;

export type Ip6Fields = {
  readonly version?: number;
  readonly trafficClass?: number;
  readonly flowLabel?: number;
  /** Default: what is there. */
  readonly payloadLength?: number;
  readonly nextHeader?: number;
  readonly hopLimit?: number;
  readonly source?: Ip | Uint8Array;
  readonly destination?: Ip | Uint8Array;
  /** Extension headers, whose first is what `nextHeader` says. */
  readonly extensions?: Uint8Array;
};

function address(from: Ip | Uint8Array): Uint8Array {
  return typeof from === 'object' ? from : encodeIp(from);
}

/** An IPv6 packet around a payload; nothing is checked. */
export function ip6Packet(fields: Ip6Fields, payload: Uint8Array): Uint8Array {
  const extensions = fields.extensions ?? new Uint8Array(0);
  const { version = 6, trafficClass = 0, flowLabel = 0 } = fields;
  const first = version * 2 ** 28 + trafficClass * 2 ** 20 + flowLabel;
  return concatBytes([
    encodeU32be(first),
    encodeU16be(fields.payloadLength ?? extensions.length + payload.length),
    Uint8Array.of(fields.nextHeader ?? 17, fields.hopLimit ?? 64),
    address(fields.source ?? REMOTE6),
    address(fields.destination ?? LOCAL6),
    extensions,
    payload,
  ]);
}

/** A frame from the peer to the tunnel's port, over IPv6. */
export function outerFrame6(payload: Uint8Array, fields: Ip6Fields & UdpFields = {}): Uint8Array {
  const datagram = concatBytes([udpHeader(fields, payload), payload]);
  return frame(ip6Packet(fields, datagram), ETH_P_IPV6);
}

/** The same over either family. */
export function outerFrameOf(family: Family, payload: Uint8Array): Uint8Array {
  return family === 'ipv4' ? outerFrame(payload) : outerFrame6(payload);
}

/** A packet of IPv6 as the peer sends it through the tunnel. */
export function innerPacket6(fields: Ip6Fields = {}, payload = filler(40)): Uint8Array {
  return ip6Packet({ source: INNER_REMOTE6, destination: INNER_LOCAL6, ...fields }, payload);
}

export function innerPacketOf(family: Family): Uint8Array {
  return family === 'ipv4' ? innerPacket() : innerPacket6();
}

/** A segment in its packet of IPv6, with its right checksum at `at` of it. */
function withChecksum(fields: Ip6Fields, segment: Uint8Array, at: number): Uint8Array {
  const filled = segment.slice();
  const sum = transportChecksum6(fields, segment);
  filled.set(encodeU16be(sum === 0 ? 0xffff : sum), at);
  return innerPacket6(fields, filled);
}

/** Checksum over a segment and its pseudo header; 0 when the segment carries its right one. */
export function transportChecksum6(fields: Ip6Fields, segment: Uint8Array): number {
  const pseudo = concatBytes([
    address(fields.source ?? INNER_REMOTE6),
    address(fields.destination ?? INNER_LOCAL6),
    encodeU32be(segment.length),
    Uint8Array.of(0, 0, 0, fields.nextHeader ?? 17),
  ]);
  return internetChecksum(segment, 0xffff - internetChecksum(pseudo));
}

/** As `tcpPacket`, of IPv6. */
export function tcpPacket6(
  fields: Ip6Fields,
  flags: number,
  options: Uint8Array = new Uint8Array(0),
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const header = new Uint8Array(20 + options.length);
  header.set(encodeU16be(1234), 0);
  header.set(encodeU16be(80), 2);
  header[12] = (header.length / 4) << 4;
  header[13] = flags;
  header.set(options, 20);
  return withChecksum({ ...fields, nextHeader: 6 }, concatBytes([header, data]), 16);
}

/** A UDP datagram in its packet of IPv6. */
export function udpPacket6(fields: Ip6Fields, data = filler(33)): Uint8Array {
  const header = udpHeader({ sourcePort: 5000, destinationPort: 53 }, data);
  return withChecksum({ ...fields, nextHeader: 17 }, concatBytes([header, data]), 6);
}

/** An ICMPv6 message in its packet. */
export function icmp6Packet(fields: Ip6Fields, type: number, body: Uint8Array): Uint8Array {
  const message = concatBytes([Uint8Array.of(type, 0, 0, 0), body]);
  return withChecksum({ ...fields, nextHeader: 58 }, message, 2);
}

/** Where a peer is, and whether strangers are heard. */
export type Judged = { readonly outside: Family; readonly strangers: boolean };

/**
 * The fate of a frame by the rules of bpf/decap.h in a tunnel with both families on both sides, where the one
 * admitted peer is at REMOTE or REMOTE6 and sends from INNER_REMOTE and INNER_REMOTE6, no budget is used up and no
 * route leads to other hosts.
 */
export function fateOfEither(bytes: Uint8Array, judged: Judged): Fate {
  const type = bytes.length >= ETHERNET ? readU16(bytes, 12) : 0;
  const packet = bytes.subarray(ETHERNET);
  if (type === 0x0800) return fateOver4(packet, judged);
  return type === ETH_P_IPV6 ? fateOver6(packet, judged) : UNTOUCHED;
}

const UNTOUCHED: Fate = { kind: 'untouched' };

function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function holds(bytes: Uint8Array, at: number, ip: Ip): boolean {
  return encodeIp(ip).every((byte, index) => bytes[at + index] === byte);
}

function fateOver4(packet: Uint8Array, judged: Judged): Fate {
  if (packet.length < 28 || packet[9] !== 17) return UNTOUCHED;
  const [first = 0, tos = 0] = packet;
  const header = (first & 15) * 4;
  const fragment = readU16(packet, 6) & 0x3fff;
  if (first !== 0x45 || fragment !== 0) {
    const wrong = first >> 4 !== 4 || header < 20 || (fragment & 0x1fff) !== 0;
    if (wrong || packet.length < header + 8 || readU16(packet, header + 2) !== LOCAL_PORT) {
      return UNTOUCHED;
    }
    return strange((readU16(packet, header + 4) - 8) >>> 0, false, judged);
  }
  const total = readU16(packet, 2);
  const length = readU16(packet, 24);
  if (readU16(packet, 22) !== LOCAL_PORT || length < 8 || total !== length + 20) return UNTOUCHED;
  if (packet.length < total) return UNTOUCHED;
  const payload = packet.subarray(28, total);
  const ports = readU16(packet, 20) === REMOTE_PORT;
  const known = holds(packet, 12, REMOTE) && holds(packet, 16, LOCAL) && ports;
  if (!known || judged.outside !== 'ipv4') {
    return strange(payload.length, lengthOf(payload) > 0, judged);
  }
  return fateInside(payload, tos & 3);
}

function fateOver6(packet: Uint8Array, judged: Judged): Fate {
  if (packet.length < 48 || (packet[0] ?? 0) >> 4 !== 6) return UNTOUCHED;
  if (packet[6] !== 17) return fateBehindExtensions(packet);
  const length = readU16(packet, 44);
  if (readU16(packet, 42) !== LOCAL_PORT || length < 8 || readU16(packet, 4) !== length) {
    return UNTOUCHED;
  }
  if (packet.length < 40 + length) return UNTOUCHED;
  const payload = packet.subarray(48, 40 + length);
  const ports = readU16(packet, 40) === REMOTE_PORT;
  const known = holds(packet, 8, REMOTE6) && holds(packet, 24, LOCAL6) && ports;
  if (known && judged.outside === 'ipv6') return fateInside(payload, (readU16(packet, 0) >> 4) & 3);
  if (!isHost(packet, 8) || !isHost(packet, 24)) return { kind: 'unusual' };
  return strange(payload.length, lengthOf(payload) > 0, judged);
}

/** Lengths of extension headers by their numbers, of the byte that says it. */
const EXTENSIONS: Readonly<Record<number, (length: number) => number>> = {
  0: (length) => 8 * (length + 1),
  43: (length) => 8 * (length + 1),
  60: (length) => 8 * (length + 1),
  135: (length) => 8 * (length + 1),
  51: (length) => 4 * (length + 2),
  44: () => 8,
};

function fateBehindExtensions(packet: Uint8Array): Fate {
  let at = 40;
  let next = packet[6] ?? 59;
  for (let count = 0; count < 8 && next !== 17; count += 1) {
    const lengthOfIt = EXTENSIONS[next];
    if (lengthOfIt === undefined || packet.length < at + 4) return UNTOUCHED;
    if (next === 44 && (readU16(packet, at + 2) & 0xfff8) !== 0) return UNTOUCHED;
    next = packet[at] ?? 59;
    at += lengthOfIt(packet[at + 1] ?? 0);
  }
  const ours = next === 17 && packet.length >= at + 4 && readU16(packet, at + 2) === LOCAL_PORT;
  return ours ? { kind: 'unusual' } : UNTOUCHED;
}

function fateInside(payload: Uint8Array, outerMark: number): Fate {
  const total = lengthOf(payload);
  const authentic = payload.length === AUTH_LENGTH;
  const heard = payload.length === 0 || authentic || payload.length >= 576;
  const control: Fate = { kind: heard ? 'passed-up' : 'malformed' };
  if (total === 0 || (authentic && total !== payload.length)) return control;
  if ((payload[0] ?? 0) >> 4 === 4) {
    const header = ((payload[0] ?? 0) & 15) * 4;
    if (authentic && internetChecksum(payload.subarray(0, header)) !== 0) return control;
    if (!holds(payload, 12, INNER_REMOTE)) return { kind: 'foreign-source' };
    return marked(outerMark, (payload[1] ?? 0) & 3);
  }
  const own = holds(payload, 8, INNER_REMOTE6) && !isReserved(payload, 24);
  if (!own) return authentic ? control : { kind: 'foreign-source' };
  return marked(outerMark, (readU16(payload, 0) >> 4) & 3);
}

function marked(outer: number, inside: number): Fate {
  return { kind: outer === 3 && inside === 0 ? 'congestion' : 'taken' };
}

/** Length of the packet at the beginning of a payload; 0 where there is none. */
function lengthOf(payload: Uint8Array): number {
  const [first = 0] = payload;
  if (first >> 4 === 6 && payload.length >= 40) {
    const total = 40 + readU16(payload, 4);
    return total <= payload.length ? total : 0;
  }
  if (first >> 4 !== 4 || payload.length < 20) return 0;
  const [header, total] = [(first & 15) * 4, readU16(payload, 2)];
  return header >= 20 && header <= total && total <= payload.length ? total : 0;
}

function isReserved(bytes: Uint8Array, at: number): boolean {
  const zeros = bytes.subarray(at, at + 8).every((byte) => byte === 0);
  const middle = readU16(bytes, at + 8) * 65_536 + readU16(bytes, at + 10);
  return zeros && (middle === 0 || middle === 0xffff);
}

function isHost(bytes: Uint8Array, at: number): boolean {
  const linkLocal = (readU16(bytes, at) & 0xffc0) === 0xfe80;
  return bytes[at] !== 0xff && !linkLocal && !isReserved(bytes, at);
}

function strange(length: number, packet: boolean, { strangers }: Judged): Fate {
  if (!strangers) return { kind: 'stranger-closed' };
  return { kind: length === AUTH_LENGTH || packet ? 'passed-up' : 'stranger-length' };
}

/** The outer ends of the peer over a family. */
export function outerEnds(family: Family): {
  readonly localIp: OuterIp;
  readonly remoteIp: OuterIp;
} {
  return family === 'ipv4'
    ? { localIp: LOCAL, remoteIp: REMOTE }
    : { localIp: LOCAL6, remoteIp: REMOTE6 };
}

/** Inner ends of a family: of the peer, and ours. */
export function innerEnds(family: Family): { readonly peer: Ip; readonly own: Ip } {
  return family === 'ipv4'
    ? { peer: INNER_REMOTE, own: INNER_LOCAL }
    : { peer: INNER_REMOTE6, own: INNER_LOCAL6 };
}

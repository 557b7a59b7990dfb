import { encodeIpv4, type Ip } from '../../src/core/addr.ts';
import { concatBytes, encodeU16be } from '../../src/core/bytes.ts';
import { internetChecksum } from '../../src/core/wire/checksum.ts';
import type { Reason } from '../../src/adapters/planes/bpf/abi.ts';
import { inner, ip } from './addresses.ts';

/*
 * Packets for the eBPF programs, byte by byte, so that every field can be wrong; and what must become
 * of them, written down a second time.
 */

export const LOCAL = ip('192.0.2.1');
export const REMOTE = ip('198.51.100.7');
export const REMOTE_PORT = 40_123;
export const LOCAL_PORT = 10_000;
export const INNER_LOCAL = inner('172.28.0.1');
export const INNER_REMOTE = inner('172.28.0.2');
/** Payload length of the only authentication packets. */
export const AUTH_LENGTH = 73;
export const ETHERNET = 14;

export type IpFields = {
  readonly version?: number;
  readonly ihl?: number;
  readonly tos?: number;
  /** Default: what is there. */
  readonly totalLength?: number;
  readonly fragment?: number;
  readonly ttl?: number;
  readonly protocol?: number;
  readonly source?: Ip;
  readonly destination?: Ip;
  readonly options?: Uint8Array;
  /** Default: the right one. */
  readonly checksum?: number;
};

/** An IPv4 packet around a payload; nothing is checked. */
export function ipPacket(fields: IpFields, payload: Uint8Array): Uint8Array {
  const options = fields.options ?? new Uint8Array(0);
  const header = new Uint8Array(20 + options.length);
  const ihl = fields.ihl ?? header.length / 4;
  header[0] = ((fields.version ?? 4) << 4) | ihl;
  header[1] = fields.tos ?? 0;
  header.set(encodeU16be(fields.totalLength ?? header.length + payload.length), 2);
  header.set(encodeU16be(fields.fragment ?? 0x4000), 6);
  header[8] = fields.ttl ?? 64;
  header[9] = fields.protocol ?? 17;
  header.set(encodeIpv4(fields.source ?? REMOTE), 12);
  header.set(encodeIpv4(fields.destination ?? LOCAL), 16);
  header.set(options, 20);
  header.set(encodeU16be(fields.checksum ?? internetChecksum(header)), 10);
  return concatBytes([header, payload]);
}

export type UdpFields = {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly udpLength?: number;
};

export function udpHeader(fields: UdpFields, payload: Uint8Array): Uint8Array {
  return concatBytes([
    encodeU16be(fields.sourcePort ?? REMOTE_PORT),
    encodeU16be(fields.destinationPort ?? LOCAL_PORT),
    encodeU16be(fields.udpLength ?? 8 + payload.length),
    encodeU16be(0),
  ]);
}

/** An Ethernet frame to the loopback device's address. */
export function frame(packet: Uint8Array, type = 0x0800): Uint8Array {
  return concatBytes([new Uint8Array(12), encodeU16be(type), packet]);
}

/** A frame from the peer to the tunnel's port. */
export function outerFrame(payload: Uint8Array, fields: IpFields & UdpFields = {}): Uint8Array {
  return frame(ipPacket(fields, concatBytes([udpHeader(fields, payload), payload])));
}

/** Bytes that are not all the same. */
export function filler(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + 3) & 0xff);
}

/** A packet as the peer sends it through the tunnel. */
export function innerPacket(fields: IpFields = {}, payload: Uint8Array = filler(40)): Uint8Array {
  const ends = { source: INNER_REMOTE, destination: INNER_LOCAL };
  return ipPacket({ ...ends, protocol: 17, ...fields }, payload);
}

export type TransportFields = IpFields & { readonly data?: Uint8Array };

/** A TCP segment in its packet; `flags` is byte 13 of the header, `options` those of TCP. */
export function tcpPacket(
  fields: TransportFields,
  flags: number,
  options: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const data = fields.data ?? new Uint8Array(0);
  const header = new Uint8Array(20 + options.length);
  header.set(encodeU16be(1234), 0);
  header.set(encodeU16be(80), 2);
  header[12] = (header.length / 4) << 4;
  header[13] = flags;
  header.set(options, 20);
  return withTransportChecksum({ ...fields, protocol: 6 }, concatBytes([header, data]), 16);
}

/** A UDP datagram in its packet. */
export function udpPacket(fields: TransportFields): Uint8Array {
  const data = fields.data ?? filler(33);
  const header = udpHeader({ sourcePort: 5000, destinationPort: 53 }, data);
  return withTransportChecksum({ ...fields, protocol: 17 }, concatBytes([header, data]), 6);
}

function withTransportChecksum(fields: IpFields, segment: Uint8Array, at: number): Uint8Array {
  const filled = segment.slice();
  filled.set(encodeU16be(transportChecksum(fields, segment)), at);
  return innerPacket(fields, filled);
}

/** Checksum over a segment and its pseudo header; 0 when the segment carries its right one. */
export function transportChecksum(fields: IpFields, segment: Uint8Array): number {
  const pseudo = concatBytes([
    encodeIpv4(fields.source ?? INNER_REMOTE),
    encodeIpv4(fields.destination ?? INNER_LOCAL),
    Uint8Array.of(0, fields.protocol ?? 17),
    encodeU16be(segment.length),
  ]);
  return internetChecksum(segment, 0xffff - internetChecksum(pseudo));
}

/** What becomes of a frame on an outer device. */
export type Fate =
  { readonly kind: 'untouched' } | { readonly kind: 'taken' } | { readonly kind: Reason };

/**
 * The fate of a frame by the rules of bpf/decap.h, where the one admitted peer is at REMOTE and sends
 * from INNER_REMOTE, no budget is used up and no route leads to other hosts.
 */
export function fateOf(bytes: Uint8Array, strangers: boolean): Fate {
  const untouched: Fate = { kind: 'untouched' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (at: number): number => view.getUint16(at);
  const address = (at: number): string => bytes.slice(at, at + 4).join('.');
  const packetLength = bytes.length - ETHERNET;
  if (packetLength < 28 || u16(12) !== 0x0800) return untouched;
  const at = ETHERNET;
  const ihl = (view.getUint8(at) & 15) * 4;
  if (view.getUint8(at + 9) !== 17) return untouched;
  const fragment = u16(at + 6) & 0x3fff;
  if (view.getUint8(at) !== 0x45 || fragment !== 0) {
    const wrong = view.getUint8(at) >> 4 !== 4 || ihl < 20 || (fragment & 0x1fff) !== 0;
    if (wrong || packetLength < ihl + 8 || u16(at + ihl + 2) !== LOCAL_PORT) return untouched;
    return strange((u16(at + ihl + 4) - 8) >>> 0, false, strangers);
  }
  const udpLength = u16(at + 24);
  const total = u16(at + 2);
  if (u16(at + 22) !== LOCAL_PORT) return untouched;
  if (udpLength < 8 || total !== udpLength + 20 || packetLength < total) return untouched;
  const payload = bytes.subarray(at + 28, at + total);
  const admitted =
    address(at + 12) === REMOTE && address(at + 16) === LOCAL && u16(at + 20) === REMOTE_PORT;
  if (!admitted) return strange(payload.length, isPacket(payload), strangers);
  if (!isPacket(payload) || (payload.length === AUTH_LENGTH && !isExactPacket(payload))) {
    const heard = [0, AUTH_LENGTH].includes(payload.length) || payload.length >= 576;
    return { kind: heard ? 'passed-up' : 'malformed' };
  }
  if (payload.slice(12, 16).join('.') !== INNER_REMOTE) return { kind: 'foreign-source' };
  const congested = (view.getUint8(at + 1) & 3) === 3 && ((payload[1] ?? 0) & 3) === 0;
  return congested ? { kind: 'congestion' } : { kind: 'taken' };
}

function strange(length: number, packet: boolean, strangers: boolean): Fate {
  if (!strangers) return { kind: 'stranger-closed' };
  return { kind: length === AUTH_LENGTH || packet ? 'passed-up' : 'stranger-length' };
}

function isPacket(payload: Uint8Array): boolean {
  const header = ((payload[0] ?? 0) & 15) * 4;
  const total = ((payload[2] ?? 0) << 8) | (payload[3] ?? 0);
  const sane = header >= 20 && header <= total && total <= payload.length;
  return payload.length >= 20 && (payload[0] ?? 0) >> 4 === 4 && sane;
}

function isExactPacket(payload: Uint8Array): boolean {
  const header = ((payload[0] ?? 0) & 15) * 4;
  const total = ((payload[2] ?? 0) << 8) | (payload[3] ?? 0);
  return total === payload.length && internetChecksum(payload.subarray(0, header)) === 0;
}

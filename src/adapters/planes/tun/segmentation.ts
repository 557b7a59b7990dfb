/**
 * Cuts what the device hands out into packets that the outer path takes.
 *
 * | from the device                     | becomes                                                   |
 * | ----------------------------------- | --------------------------------------------------------- |
 * | a packet                            | itself                                                    |
 * | a packet whose checksum is partial  | itself, the checksum finished in place                    |
 * | a TCP or UDP super-packet           | packets of gso_size bytes of payload, the last may be less |
 *
 * The pieces of a super-packet are its own payload where it lies, and headers made anew for each:
 * lengths, an IPv4 identification that counts up, sequence numbers, FIN and PSH on the last piece
 * only, CWR on the first only (as tcp_gso_segment of the kernel has it), and checksums summed over
 * the bytes that are there, since the kernel left them out. An IPv6 packet may have extension headers before
 * its transport header: the virtio_net_hdr says where that begins, and they are the same in every piece.
 */
import { TAG_COUNTER_AT, TAG_LENGTH } from '../../../core/tag/layout.ts';
import { NH_ROUND_LENGTH } from '../../../core/tag/nh.ts';
import { coveredLength } from '../../../core/tag/tag.ts';
import type { TagLevel } from '../../../core/tag/types.ts';
import type { Arena } from './arena.ts';
import { fold, sumBytes, word16 } from './packet-sum.ts';
import type { SendKey } from './tag-table.ts';
import type { Tagger } from './tagger.ts';
import {
  checksumOffset,
  checksumStart,
  gsoSize,
  gsoType,
  needsChecksum,
  TCP_CHECKSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from './virtio-net.ts';

/** IPv4 and TCP headers have at most 60 bytes each (RFC 791, RFC 9293); an IPv6 header has 40. */
const HEADERS_BYTES = 128;
/** With room for a tag before the headers, and for what of the payload fills up a round of NH. */
export const HEADER_SLOT_BYTES = TAG_LENGTH + HEADERS_BYTES;

export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
/** Offsets in an IPv4 header (core/wire/ipv4.ts draws it). */
export const IP = {
  totalLength: 2,
  identification: 4,
  fragment: 6,
  protocol: 9,
  checksum: 10,
  source: 12,
} as const;
/** Offsets in an IPv6 header (core/wire/ipv6.ts draws it). */
export const IP6 = {
  payloadLength: 4,
  nextHeader: 6,
  hopLimit: 7,
  source: 8,
  destination: 24,
} as const;
export const IP6_HEADER_BYTES = 40;
/** Offsets in a TCP header (RFC 9293, section 3.1). */
export const TCP = {
  sequence: 4,
  acknowledgment: 8,
  dataOffset: 12,
  flags: 13,
  window: 14,
} as const;
/** Everything but DF: the reserved flag, more fragments, and the offset. */
export const FRAGMENT_BITS = 0xbfff;
export const TCP_FIN = 0x01;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_CWR = 0x80;
/** Offsets in a UDP header (RFC 768). */
const UDP = { length: 4, checksum: 6 } as const;
const UDP_HEADER_BYTES = 8;

/** The version that the IP header at `ip` says. */
export function ipVersion(packets: Arena, ip: number): number {
  return (packets.bytes[ip] ?? 0) >> 4;
}

/**
 * Sum of the part of a TCP or UDP pseudo header that stays the same for all pieces. `ip` is where
 * the IP header is.
 */
export function pseudoHeaderSum(packets: Arena, ip: number, protocol: number): number {
  const addresses =
    ipVersion(packets, ip) === 4
      ? sumBytes(packets, ip + IP.source, 8)
      : sumBytes(packets, ip + IP6.source, 32);
  return addresses + word16(protocol);
}

export class Segmenter {
  readonly #packets: Arena;
  readonly #slots: number;
  #ip = 0;
  #length = 0;
  #version = 4;
  #ipLength = 0;
  #headerLength = 0;
  #protocol = 0;
  #size = 0;
  #next = 0;
  #pseudo = 0;
  #identification = 0;
  #sequence = 0;
  /** The piece that `next` made: places and bytes; the body may be empty. The head of a whole packet is all of it. */
  headAt = 0;
  headLength = 0;
  bodyAt = 0;
  bodyLength = 0;

  /** Behind `slots`, a multiple of 8, is one of HEADER_SLOT_BYTES for every piece that is alive at one time. */
  constructor(packets: Arena, slots: number) {
    this.#packets = packets;
    this.#slots = slots;
  }

  /**
   * Takes the packet of `length` bytes at `ip`, a multiple of 4; `vnet` is where its virtio_net_hdr
   * is (undefined: it has none). false when its headers contradict each other or ask for what is not
   * known here; there is nothing to `next` then.
   */
  begin(ip: number, length: number, vnet: number | undefined): boolean {
    this.#ip = ip;
    this.#length = length;
    this.#next = 0;
    this.#size = 0;
    this.#headerLength = length;
    if (vnet === undefined) return true;
    const type = gsoType(this.#packets, vnet);
    if (type === VIRTIO_NET_HDR_GSO_NONE) {
      return !needsChecksum(this.#packets, vnet) || this.#finishChecksum(vnet);
    }
    return this.#beginSuperPacket(type, vnet);
  }

  /** Bytes of the largest piece. */
  get largest(): number {
    return this.#size === 0
      ? this.#length
      : Math.min(this.#length, this.#headerLength + this.#size);
  }

  /** Whether there are pieces left. */
  get more(): boolean {
    return this.#next < this.#length;
  }

  /** Makes the next piece, its headers in `slot` if it is one of many. */
  next(slot: number): void {
    if (this.#size === 0) {
      this.headAt = this.#ip;
      this.headLength = this.#length;
      this.bodyLength = 0;
      this.#next = this.#length;
      return;
    }
    const at = this.#slots + slot * HEADER_SLOT_BYTES + TAG_LENGTH;
    if (this.#next === 0) this.#next = this.#headerLength;
    const body = this.#ip + this.#next;
    const length = Math.min(this.#size, this.#length - this.#next);
    this.headAt = at;
    this.headLength = this.#headerLength;
    this.bodyAt = body;
    this.bodyLength = length;
    const done = this.#next - this.#headerLength;
    this.#next += length;
    this.#encodeHeaders(at, done, body, length);
  }

  /**
   * Puts a tag before the piece: its head begins with it then. What of the payload fills up a round of NH that the
   * headers have begun moves behind them.
   */
  tag(tagger: Tagger, send: SendKey, level: TagLevel): void {
    const packets = this.#packets;
    const length = this.headLength + this.bodyLength;
    const header = this.headAt - TAG_LENGTH;
    send.counter.last += 1;
    packets.setU32be(header, send.head);
    packets.setU32be(header + TAG_COUNTER_AT, send.counter.last);
    const moved = Math.min(this.bodyLength, -this.headLength & (NH_ROUND_LENGTH - 1));
    if (moved > 0) {
      packets.bytes.copyWithin(this.headAt + this.headLength, this.bodyAt, this.bodyAt + moved);
    }
    this.bodyAt += moved;
    this.bodyLength -= moved;
    this.headLength += moved;
    const covered = coveredLength(level, length);
    if (covered > this.headLength) {
      const end = this.headAt + this.headLength;
      const stop = this.bodyAt + covered - this.headLength;
      tagger.write(send.secret, header, end, this.bodyAt, stop, length);
    } else {
      const end = this.headAt;
      tagger.write(send.secret, header, end, end, end + covered, length);
    }
    this.headAt = header;
    this.headLength += TAG_LENGTH;
  }

  #beginSuperPacket(type: number, vnet: number): boolean {
    const packets = this.#packets;
    const ip = this.#ip;
    this.#version = ipVersion(packets, ip);
    const ipv4 = this.#version === 4;
    const protocol = ipv4 ? (packets.bytes[ip + IP.protocol] ?? 0) : ipv6Protocol(type);
    this.#ipLength = ipv4 ? ((packets.bytes[ip] ?? 0) & 0x0f) * 4 : checksumStart(packets, vnet);
    const transport = ip + this.#ipLength;
    const tcp = ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
    let transportLength = 0;
    if (type === tcp && protocol === IPPROTO_TCP) {
      transportLength = ((packets.bytes[transport + TCP.dataOffset] ?? 0) >> 4) * 4;
    } else if (type === VIRTIO_NET_HDR_GSO_UDP_L4 && protocol === IPPROTO_UDP) {
      transportLength = UDP_HEADER_BYTES;
    }
    this.#headerLength = this.#ipLength + transportLength;
    this.#protocol = protocol;
    this.#size = gsoSize(packets, vnet);
    this.#pseudo = pseudoHeaderSum(packets, ip, protocol);
    this.#identification = packets.u16be(ip + IP.identification);
    this.#sequence = packets.u32be(transport + TCP.sequence);
    return (
      this.#size > 0 &&
      this.#ipLength >= (ipv4 ? 20 : IP6_HEADER_BYTES) &&
      this.#ipLength % 4 === 0 &&
      transportLength >= (protocol === IPPROTO_TCP ? 20 : UDP_HEADER_BYTES) &&
      this.#headerLength <= HEADERS_BYTES &&
      this.#headerLength < this.#length
    );
  }

  #finishChecksum(vnet: number): boolean {
    const packets = this.#packets;
    const start = checksumStart(packets, vnet);
    const field = this.#ip + start + checksumOffset(packets, vnet);
    if (field & 1 || field + 2 > this.#ip + this.#length || start > this.#length) return false;
    const sum = sumBytes(packets, this.#ip + start, this.#length - start);
    packets.u16[field / 2] = this.#isUdp(checksumOffset(packets, vnet)) ? udpChecksum(sum) : ~sum;
    return true;
  }

  /** Of an IPv6 packet, which may have extension headers, the place of the checksum tells. */
  #isUdp(checksum: number): boolean {
    const packets = this.#packets;
    if (ipVersion(packets, this.#ip) === 6) return checksum === UDP.checksum;
    return packets.bytes[this.#ip + IP.protocol] === IPPROTO_UDP;
  }

  /** `done` bytes of payload are in pieces before; this one's `length` bytes lie at `body`. */
  #encodeHeaders(at: number, done: number, body: number, length: number): void {
    const headers = this.#packets;
    copyWords(headers, this.#ip, at, this.#headerLength);
    const total = this.#headerLength + length;
    if (this.#version === 4) this.#encodeIpv4(at, done, total);
    else headers.setU16be(at + IP6.payloadLength, total - IP6_HEADER_BYTES);
    const transport = at + this.#ipLength;
    if (this.#protocol === IPPROTO_TCP) this.#encodeTcp(transport, done, body, length);
    else this.#encodeUdp(transport, body, length);
  }

  #encodeIpv4(at: number, done: number, total: number): void {
    const headers = this.#packets;
    headers.setU16be(at + IP.totalLength, total);
    const identification = this.#identification + Math.floor(done / this.#size);
    headers.setU16be(at + IP.identification, identification & 0xffff);
    headers.u16[(at + IP.checksum) / 2] = 0;
    headers.u16[(at + IP.checksum) / 2] = ~sumBytes(headers, at, this.#ipLength);
  }

  #encodeTcp(tcp: number, done: number, body: number, length: number): void {
    const headers = this.#packets;
    headers.setU32be(tcp + TCP.sequence, this.#sequence + done);
    let flags = headers.bytes[tcp + TCP.flags] ?? 0;
    if (this.#next < this.#length) flags &= ~(TCP_FIN | TCP_PSH);
    if (done > 0) flags &= ~TCP_CWR;
    headers.bytes[tcp + TCP.flags] = flags;
    headers.u16[(tcp + TCP_CHECKSUM) / 2] = 0;
    headers.u16[(tcp + TCP_CHECKSUM) / 2] = ~this.#transportSum(tcp, body, length);
  }

  #encodeUdp(udp: number, body: number, length: number): void {
    const headers = this.#packets;
    headers.setU16be(udp + UDP.length, UDP_HEADER_BYTES + length);
    headers.u16[(udp + UDP.checksum) / 2] = 0;
    headers.u16[(udp + UDP.checksum) / 2] = udpChecksum(this.#transportSum(udp, body, length));
  }

  /** Sum of pseudo header, transport header and payload. */
  #transportSum(transport: number, body: number, length: number): number {
    const headerLength = this.#headerLength - this.#ipLength;
    return fold(
      this.#pseudo +
        word16(headerLength + length) +
        sumBytes(this.#packets, transport, headerLength) +
        sumBytes(this.#packets, body, length),
    );
  }
}

/** The protocol of a super-packet of IPv6, which extension headers may hide. */
function ipv6Protocol(type: number): number {
  return type === VIRTIO_NET_HDR_GSO_UDP_L4 ? IPPROTO_UDP : IPPROTO_TCP;
}

/** RFC 768: a computed zero is sent as all ones, since zero says that there is no checksum. */
export function udpChecksum(sum: number): number {
  return sum === 0xffff ? 0xffff : ~sum;
}

/** Copies `length` bytes; positions and length are multiples of 4. */
function copyWords({ u32 }: Arena, at: number, target: number, length: number): void {
  const words = length / 4;
  for (let word = 0; word < words; word += 1) u32[target / 4 + word] = u32[at / 4 + word] ?? 0;
}

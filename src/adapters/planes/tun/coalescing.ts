/**
 * Puts TCP segments that follow each other together into super-packets, as GRO of the kernel does, so
 * that the stack behind the device has one packet to deal with and not forty.
 *
 * Segments of one flow join when everything but sequence number, payload and PSH is the same in their
 * headers, options included; the flags are ACK, or ACK and PSH; each has payload and follows the one
 * before; all payloads are as long as the first but the last, which may be shorter; PSH ends it. IPv4
 * headers have no options, are no fragments, and their identifications count up or DF is set (then
 * they mean nothing: RFC 6864). Whatever else comes of a flow ends what was being put together, so the
 * order within a flow stays.
 *
 * A super-packet goes to the kernel with a partial checksum, which the kernel takes for a right one.
 * So every segment's own checksums are verified here before it joins; one with a wrong checksum does
 * not join, and reaches the kernel as it came, to be verified and dropped there. One whose checksum is
 * unfinished (unfinished.ts) has nothing to be verified by; a super-packet has joined already.
 */
import type { Arena } from './arena.ts';
import { MAX_INBOUND_PACKETS, MAX_SUPER_SEGMENTS } from './limits.ts';
import { fold, sumBytes, word16 } from './packet-sum.ts';
import {
  FRAGMENT_BITS,
  IP,
  IPPROTO_TCP,
  pseudoHeaderSum,
  TCP,
  TCP_ACK,
  TCP_PSH,
} from './segmentation.ts';
import { isUnfinished } from './unfinished.ts';
import { encodeTcpHeader, TCP_CHECKSUM } from './virtio-net.ts';

const IP_HEADER_BYTES = 20;
const MAX_IP_BYTES = 0xffff;
const DONT_FRAGMENT = 0x4000;

/** Flows that are looked for; two that fall on one place end each other's super-packets. */
const FLOW_PLACES = 64;
const NONE = -1;

/**
 * The packets of one turn in the order in which they go to the device, each of one or more segments.
 * Holds at most MAX_INBOUND_PACKETS segments.
 */
export class Coalescer {
  readonly #packets: Arena;
  /** Of each segment: where it is, its bytes, and the segment after it in its packet. */
  readonly #at = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #lengths = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #after = new Int32Array(MAX_INBOUND_PACKETS);
  /** Of each packet, by its first segment: its last one, segments, bytes, and the payload of its first. */
  readonly #last = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #segments = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #bytes = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #payloads = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #headerLengths = new Uint32Array(MAX_INBOUND_PACKETS);
  /** First segments of the packets, in order. */
  readonly #order = new Uint32Array(MAX_INBOUND_PACKETS);
  /** First segment of the packet that grows, for every place of flows. */
  readonly #open = new Int32Array(FLOW_PLACES).fill(NONE);
  #count = 0;
  #packetCount = 0;

  constructor(packets: Arena) {
    this.#packets = packets;
  }

  /** Packets to write. */
  get packets(): number {
    return this.#packetCount;
  }

  get full(): boolean {
    return this.#count === MAX_INBOUND_PACKETS;
  }

  clear(): void {
    this.#count = 0;
    this.#packetCount = 0;
    this.#open.fill(NONE);
  }

  /** Adds a packet that is not to be joined with anything. Not when `full`. */
  addAlone(at: number, length: number): void {
    this.#append(at, length);
  }

  /** Adds the IPv4 packet of `length` bytes at `at`; joins none that is larger than `mtu`. Not when `full`. */
  add(at: number, length: number, mtu: number): void {
    if (!this.#isTcp(at, length)) {
      this.#append(at, length);
      return;
    }
    const place = this.#place(at);
    const open = this.#open[place] ?? NONE;
    const headerLength = length > mtu ? 0 : this.#joinableHeader(at, length);
    if (headerLength === 0) {
      // A SYN, a FIN, a mere ACK, or a super-packet. It may be of the flow that is open here.
      this.#open[place] = NONE;
      this.#append(at, length);
      return;
    }
    if (open !== NONE && this.#tryJoin(open, place, at, length, headerLength)) return;
    const segment = this.#append(at, length);
    this.#payloads[segment] = length - headerLength;
    this.#headerLengths[segment] = headerLength;
    const pushed = this.#flags(at) & TCP_PSH;
    this.#open[place] = pushed ? NONE : segment;
  }

  /** Number of the first segment of a packet; `segments`, `position` and so on are asked about it. */
  first(packet: number): number {
    return this.#order[packet] ?? 0;
  }

  /** Segments of the packet that begins with this one. */
  segments(first: number): number {
    return this.#segments[first] ?? 0;
  }

  /** The segment that follows in its packet. */
  after(segment: number): number {
    return this.#after[segment] ?? NONE;
  }

  position(segment: number): number {
    return this.#at[segment] ?? 0;
  }

  length(segment: number): number {
    return this.#lengths[segment] ?? 0;
  }

  /** IPv4 and TCP header of the packet that begins with this segment; every later segment's is left out. */
  headerLength(first: number): number {
    return this.#headerLengths[first] ?? 0;
  }

  /**
   * Makes the first segment's headers those of the whole super-packet, and writes its virtio_net_hdr
   * at `vnet` of `into`. Only once, and only where there are several segments.
   */
  finish(first: number, into: Arena, vnet: number): void {
    const packets = this.#packets;
    const at = this.#at[first] ?? 0;
    const total = this.#bytes[first] ?? 0;
    const last = this.#at[this.#last[first] ?? 0] ?? 0;
    const tcp = at + IP_HEADER_BYTES;
    packets.setU16be(at + IP.totalLength, total);
    setSum(packets, at + IP.checksum, 0);
    setSum(packets, at + IP.checksum, ~sumBytes(packets, at, IP_HEADER_BYTES));
    packets.bytes[tcp + TCP.flags] = this.#flags(at) | this.#flags(last);
    const pseudo = pseudoHeaderSum(packets, at, IPPROTO_TCP) + word16(total - IP_HEADER_BYTES);
    setSum(packets, tcp + TCP_CHECKSUM, fold(pseudo));
    encodeTcpHeader(into, vnet, {
      ip: IP_HEADER_BYTES,
      headers: this.#headerLengths[first] ?? 0,
      payload: this.#payloads[first] ?? 0,
    });
  }

  #append(at: number, length: number): number {
    const segment = this.#count;
    this.#at[segment] = at;
    this.#lengths[segment] = length;
    this.#after[segment] = NONE;
    this.#last[segment] = segment;
    this.#segments[segment] = 1;
    this.#bytes[segment] = length;
    this.#order[this.#packetCount] = segment;
    this.#count += 1;
    this.#packetCount += 1;
    return segment;
  }

  #isTcp(at: number, length: number): boolean {
    return (
      length >= IP_HEADER_BYTES + 20 &&
      this.#packets.bytes[at] === 0x45 &&
      this.#packets.bytes[at + IP.protocol] === IPPROTO_TCP &&
      (this.#packets.u16be(at + IP.fragment) & FRAGMENT_BITS) === 0
    );
  }

  /** Bytes of both headers of a segment that may join others; 0 when it may not. */
  #joinableHeader(at: number, length: number): number {
    const tcp = at + IP_HEADER_BYTES;
    const offset = (this.#packets.bytes[tcp + TCP.dataOffset] ?? 0) >> 4;
    const headerLength = IP_HEADER_BYTES + offset * 4;
    const mayJoin =
      this.#packets.u16be(at + IP.totalLength) === length &&
      offset >= 5 &&
      headerLength < length &&
      (this.#flags(at) & ~TCP_PSH) === TCP_ACK;
    return mayJoin ? headerLength : 0;
  }

  #flags(at: number): number {
    return this.#packets.bytes[at + IP_HEADER_BYTES + TCP.flags] ?? 0;
  }

  /** From addresses and ports. */
  #place(at: number): number {
    const packets = this.#packets;
    const addresses = packets.u32be(at + IP.source) ^ packets.u32be(at + IP.source + 4);
    const mixed = Math.imul(addresses ^ packets.u32be(at + IP_HEADER_BYTES), 0x9e3779b1);
    return mixed >>> 26;
  }

  #tryJoin(
    first: number,
    place: number,
    at: number,
    length: number,
    headerLength: number,
  ): boolean {
    const payload = length - headerLength;
    const size = this.#payloads[first] ?? 0;
    const total = (this.#bytes[first] ?? 0) + payload;
    const last = this.#last[first] ?? 0;
    if (
      headerLength !== this.#headerLengths[first] ||
      this.#segments[first] === MAX_SUPER_SEGMENTS ||
      payload > size ||
      total > MAX_IP_BYTES ||
      !this.#sameFlow(this.#at[first] ?? 0, this.#at[last] ?? 0, at, headerLength) ||
      !this.#follows(first, at, headerLength) ||
      !this.#verified(first, at, length)
    ) {
      return false;
    }
    const segment = this.#count;
    this.#at[segment] = at;
    this.#lengths[segment] = length;
    this.#after[segment] = NONE;
    this.#after[last] = segment;
    this.#last[first] = segment;
    this.#segments[first] = (this.#segments[first] ?? 0) + 1;
    this.#bytes[first] = total;
    this.#count += 1;
    if (payload < size || this.#flags(at) & TCP_PSH) this.#open[place] = NONE;
    return true;
  }

  /** Whether the sequence number is the one that comes after the packet that begins with `first`. */
  #follows(first: number, at: number, headerLength: number): boolean {
    const begun = this.#packets.u32be((this.#at[first] ?? 0) + IP_HEADER_BYTES + TCP.sequence);
    const expected = (begun + (this.#bytes[first] ?? 0) - headerLength) >>> 0;
    return this.#packets.u32be(at + IP_HEADER_BYTES + TCP.sequence) === expected;
  }

  /** Whether the headers are those of the same packet but for what may differ. */
  #sameFlow(first: number, previous: number, at: number, headerLength: number): boolean {
    const { bytes } = this.#packets;
    const packets = this.#packets;
    if (
      bytes[first + 1] !== bytes[at + 1] ||
      packets.u16be(first + IP.fragment) !== packets.u16be(at + IP.fragment) ||
      bytes[first + 8] !== bytes[at + 8] ||
      !this.#identifies(previous, at)
    ) {
      return false;
    }
    // Addresses and ports.
    if (!this.#same(first, at, IP.source, IP_HEADER_BYTES + TCP.sequence)) return false;
    const tcp = IP_HEADER_BYTES;
    return (
      this.#same(first, at, tcp + TCP.acknowledgment, tcp + TCP.flags) &&
      this.#same(first, at, tcp + TCP.window, tcp + TCP_CHECKSUM) &&
      this.#same(first, at, tcp + TCP_CHECKSUM + 2, headerLength)
    );
  }

  #identifies(previous: number, at: number): boolean {
    const packets = this.#packets;
    if (packets.u16be(at + IP.fragment) & DONT_FRAGMENT) return true;
    const expected = (packets.u16be(previous + IP.identification) + 1) & 0xffff;
    return packets.u16be(at + IP.identification) === expected;
  }

  /** Whether two packets have the same bytes from `start` up to `end`. */
  #same(one: number, other: number, start: number, end: number): boolean {
    const { bytes } = this.#packets;
    for (let at = start; at < end; at += 1) {
      if (bytes[one + at] !== bytes[other + at]) return false;
    }
    return true;
  }

  /** Whether the checksums are right: of the segment at `at`, and of `first` unless it was looked at before. */
  #verified(first: number, at: number, length: number): boolean {
    if (!this.#checksumsRight(at, length)) return false;
    if ((this.#segments[first] ?? 0) > 1) return true;
    return this.#checksumsRight(this.#at[first] ?? 0, this.#lengths[first] ?? 0);
  }

  #checksumsRight(at: number, length: number): boolean {
    const packets = this.#packets;
    if (sumBytes(packets, at, IP_HEADER_BYTES) !== 0xffff) return false;
    const tcp = at + IP_HEADER_BYTES;
    const tcpLength = length - IP_HEADER_BYTES;
    const pseudo = fold(pseudoHeaderSum(packets, at, IPPROTO_TCP) + word16(tcpLength));
    return (
      isUnfinished(packets, tcp + TCP_CHECKSUM, pseudo) ||
      fold(pseudo + sumBytes(packets, tcp, tcpLength)) === 0xffff
    );
  }
}

/** Positions of packets are any: a field may lie across two words. */
function setSum(packets: Arena, at: number, sum: number): void {
  packets.setU16be(at, word16(sum & 0xffff));
}

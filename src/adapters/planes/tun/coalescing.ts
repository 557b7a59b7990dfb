/**
 * Puts TCP segments that follow each other together into super-packets, as GRO of the kernel does, so
 * that the stack behind the device has one packet to deal with and not forty.
 *
 * Segments of one flow join when everything but sequence number, payload and PSH is the same in their
 * headers, options included; the flags are ACK, or ACK and PSH; each has payload and follows the one
 * before; all payloads are as long as the first but the last, which may be shorter; PSH ends it. IPv4
 * headers have no options, are no fragments, and their identifications count up or DF is set (then
 * they mean nothing: RFC 6864). IPv6 headers have no extension headers behind them. Whatever else comes of a flow ends what was being put together, so the
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
  IP6,
  IP6_HEADER_BYTES,
  IPPROTO_TCP,
  ipVersion,
  pseudoHeaderSum,
  TCP,
  TCP_ACK,
  TCP_PSH,
} from './segmentation.ts';
import { isUnfinished } from './unfinished.ts';
import { encodeTcpHeader, TCP_CHECKSUM } from './virtio-net.ts';

const IP_HEADER_BYTES = 20;
const TCP_HEADER_BYTES = 20;
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
  /**
   * Of each packet, by its first segment: its last one, segments, bytes, the payload of its first, and
   * bytes of its headers, of both and of IP alone.
   */
  readonly #last = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #segments = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #bytes = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #payloads = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #headerLengths = new Uint32Array(MAX_INBOUND_PACKETS);
  readonly #ipLengths = new Uint32Array(MAX_INBOUND_PACKETS);
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

  /** Adds the IP packet of `length` bytes at `at`; joins none that is larger than `mtu`. Not when `full`. */
  add(at: number, length: number, mtu: number): void {
    const ip = this.#headerOfTcp(at, length);
    if (ip === 0) {
      this.#append(at, length);
      return;
    }
    const place = this.#place(at, ip);
    const open = this.#open[place] ?? NONE;
    const headerLength = length > mtu ? 0 : this.#joinableHeader(at, ip, length);
    if (headerLength === 0) {
      // A SYN, a FIN, a mere ACK, or a super-packet. It may be of the flow that is open here.
      this.#open[place] = NONE;
      this.#append(at, length);
      return;
    }
    if (open !== NONE && this.#tryJoin(open, place, at, ip, length, headerLength)) return;
    const segment = this.#append(at, length);
    this.#payloads[segment] = length - headerLength;
    this.#headerLengths[segment] = headerLength;
    this.#ipLengths[segment] = ip;
    const pushed = this.#flags(at + ip) & TCP_PSH;
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

  /** Bytes of IP and TCP header of the packet that begins with this segment; every later segment's is left out. */
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
    const ip = this.#ipLengths[first] ?? 0;
    const tcp = at + ip;
    if (ip === IP_HEADER_BYTES) {
      packets.setU16be(at + IP.totalLength, total);
      setSum(packets, at + IP.checksum, 0);
      setSum(packets, at + IP.checksum, ~sumBytes(packets, at, IP_HEADER_BYTES));
    } else packets.setU16be(at + IP6.payloadLength, total - ip);
    packets.bytes[tcp + TCP.flags] = this.#flags(tcp) | this.#flags(last + ip);
    const pseudo = pseudoHeaderSum(packets, at, IPPROTO_TCP) + word16(total - ip);
    setSum(packets, tcp + TCP_CHECKSUM, fold(pseudo));
    encodeTcpHeader(into, vnet, ipVersion(packets, at), {
      ip,
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

  /** Bytes of the IP header of a TCP segment that may be of a flow here; 0 of any other packet. */
  #headerOfTcp(at: number, length: number): number {
    const { bytes } = this.#packets;
    if (bytes[at] === 0x45) {
      const tcp =
        length >= IP_HEADER_BYTES + TCP_HEADER_BYTES &&
        bytes[at + IP.protocol] === IPPROTO_TCP &&
        (this.#packets.u16be(at + IP.fragment) & FRAGMENT_BITS) === 0;
      return tcp ? IP_HEADER_BYTES : 0;
    }
    const tcp =
      ipVersion(this.#packets, at) === 6 &&
      length >= IP6_HEADER_BYTES + TCP_HEADER_BYTES &&
      bytes[at + IP6.nextHeader] === IPPROTO_TCP;
    return tcp ? IP6_HEADER_BYTES : 0;
  }

  /** Bytes of both headers of a segment that may join others; 0 when it may not. */
  #joinableHeader(at: number, ip: number, length: number): number {
    const tcp = at + ip;
    const offset = (this.#packets.bytes[tcp + TCP.dataOffset] ?? 0) >> 4;
    const headerLength = ip + offset * 4;
    const total =
      ip === IP_HEADER_BYTES
        ? this.#packets.u16be(at + IP.totalLength)
        : this.#packets.u16be(at + IP6.payloadLength) + ip;
    const mayJoin =
      total === length &&
      offset >= 5 &&
      headerLength < length &&
      (this.#flags(tcp) & ~TCP_PSH) === TCP_ACK;
    return mayJoin ? headerLength : 0;
  }

  /** Of the TCP header at `tcp`. */
  #flags(tcp: number): number {
    return this.#packets.bytes[tcp + TCP.flags] ?? 0;
  }

  /** From addresses and ports; of IPv6 addresses the last words, in which hosts differ. */
  #place(at: number, ip: number): number {
    const packets = this.#packets;
    const ipv4 = ip === IP_HEADER_BYTES;
    const source = at + (ipv4 ? IP.source : IP6.source + 12);
    const addresses = packets.u32be(source) ^ packets.u32be(source + (ipv4 ? 4 : 16));
    const mixed = Math.imul(addresses ^ packets.u32be(at + ip), 0x9e3779b1);
    return mixed >>> 26;
  }

  #tryJoin(
    first: number,
    place: number,
    at: number,
    ip: number,
    length: number,
    headerLength: number,
  ): boolean {
    const payload = length - headerLength;
    const size = this.#payloads[first] ?? 0;
    const total = (this.#bytes[first] ?? 0) + payload;
    const last = this.#last[first] ?? 0;
    if (
      headerLength !== this.#headerLengths[first] ||
      ip !== this.#ipLengths[first] ||
      this.#segments[first] === MAX_SUPER_SEGMENTS ||
      payload > size ||
      total > MAX_IP_BYTES ||
      !this.#sameIp(this.#at[first] ?? 0, this.#at[last] ?? 0, at, ip) ||
      !this.#sameTcp(this.#at[first] ?? 0, at, ip, headerLength) ||
      !this.#follows(first, at, ip, headerLength) ||
      !this.#verified(first, at, ip, length)
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
    if (payload < size || this.#flags(at + ip) & TCP_PSH) this.#open[place] = NONE;
    return true;
  }

  /** Whether the sequence number is the one that comes after the packet that begins with `first`. */
  #follows(first: number, at: number, ip: number, headerLength: number): boolean {
    const begun = this.#packets.u32be((this.#at[first] ?? 0) + ip + TCP.sequence);
    const expected = (begun + (this.#bytes[first] ?? 0) - headerLength) >>> 0;
    return this.#packets.u32be(at + ip + TCP.sequence) === expected;
  }

  /** Whether the IP headers are those of the same packet but for what may differ. */
  #sameIp(first: number, previous: number, at: number, ip: number): boolean {
    if (ip === IP6_HEADER_BYTES) {
      // All but the payload's length.
      return (
        this.#same(first, at, 0, IP6.payloadLength) && this.#same(first, at, IP6.nextHeader, ip)
      );
    }
    const { bytes } = this.#packets;
    const packets = this.#packets;
    return (
      bytes[first + 1] === bytes[at + 1] &&
      packets.u16be(first + IP.fragment) === packets.u16be(at + IP.fragment) &&
      bytes[first + 8] === bytes[at + 8] &&
      this.#identifies(previous, at) &&
      this.#same(first, at, IP.source, ip)
    );
  }

  /** The same of TCP headers, which begin `tcp` bytes into their packets. */
  #sameTcp(first: number, at: number, tcp: number, headerLength: number): boolean {
    return (
      this.#same(first, at, tcp, tcp + TCP.sequence) &&
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
  #verified(first: number, at: number, ip: number, length: number): boolean {
    if (!this.#checksumsRight(at, ip, length)) return false;
    if ((this.#segments[first] ?? 0) > 1) return true;
    return this.#checksumsRight(this.#at[first] ?? 0, ip, this.#lengths[first] ?? 0);
  }

  #checksumsRight(at: number, ip: number, length: number): boolean {
    const packets = this.#packets;
    if (ip === IP_HEADER_BYTES && sumBytes(packets, at, ip) !== 0xffff) return false;
    const tcp = at + ip;
    const tcpLength = length - ip;
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

/**
 * What one recvmmsg(2) brings. With UDP_GRO (linux/udp.h, Linux 5.0) a message may be many datagrams of
 * one sender, all of `segmentSize` bytes but the last, which may be shorter.
 *
 * A message's control is drawn in message-shape.ts; of UDP_GRO:
 *
 *     0 cmsg_len 20    8 level 17    12 type 104    16 size i32
 */
import { ENDPOINT_BYTES } from '../../../core/handshake/fields.ts';
import { IPV6_LENGTH } from '../../../core/ip-text.ts';
import { Arena } from './arena.ts';
import {
  CMSGHDR_BYTES,
  findPktinfo6,
  IOVEC_BYTES,
  IPPROTO_IP,
  IPPROTO_IPV6,
  littleEndian,
  MMSGHDR_BYTES,
  readPktinfo,
  SOL_UDP,
  UDP_GRO,
  viewOf,
  type AddressOf,
} from '../../udp/message-headers.ts';
import { IPV4_MESSAGES, type MessageShape } from './message-shape.ts';
import { IPV6_WORDS } from './ipv6-words.ts';
import { Tagger, TAGGER_BYTES } from './tagger.ts';
import { vectorMemory } from './vector-memory.ts';

/** linux/in.h: one byte. */
const IP_TOS = 1;
/** linux/in6.h: the class, and what a packet has that was in pieces or had extension headers. */
const IPV6_TCLASS = 67;
const IPV6_HOPOPTS = 54;
const IPV6_RTHDR = 57;
const IPV6_DSTOPTS = 59;
const IPV6_RECVFRAGSIZE = 77;
const UNUSUAL: ReadonlySet<number> = new Set([
  IPV6_HOPOPTS,
  IPV6_RTHDR,
  IPV6_DSTOPTS,
  IPV6_RECVFRAGSIZE,
]);
/** bits/socket.h: there was more than there is room for. */
const MSG_CTRUNC = 0x08;
/** Where in a struct sockaddr_in or sockaddr_in6 port and address are. */
const SIN_PORT = 2;
const SIN_ADDR = 4;
const SIN6_ADDR = 8;

/** More than any UDP payload (65507, over IPv6 65527), so that nothing is ever truncated; untouched pages cost nothing. */
export const MESSAGE_BYTES = 65_536;

const MESSAGE = { nameLength: 8, controlLength: 40, flags: 48, length: 56 } as const;

export class InboundBatch {
  /** The payloads; message n begins at n * MESSAGE_BYTES. */
  readonly packets: Arena;
  readonly tagger: Tagger;
  readonly capacity: number;
  readonly #shape: MessageShape;
  readonly #vector: Arena;
  readonly #names: Arena;
  readonly #controls: Arena;
  readonly #controlsView: DataView;
  readonly #iovecs: Arena;
  #count = 0;

  constructor(capacity: number, addressOf: AddressOf, shape: MessageShape = IPV4_MESSAGES) {
    this.capacity = capacity;
    this.#shape = shape;
    const tagger = capacity * MESSAGE_BYTES;
    const room = tagger + TAGGER_BYTES;
    this.packets = new Arena(room, addressOf, vectorMemory(room));
    this.tagger = new Tagger(this.packets, tagger);
    this.#vector = new Arena(capacity * MMSGHDR_BYTES, addressOf);
    this.#names = new Arena(capacity * shape.nameStride, addressOf);
    this.#controls = new Arena(capacity * shape.control, addressOf);
    this.#controlsView = viewOf(this.#controls.bytes);
    this.#iovecs = new Arena(capacity * IOVEC_BYTES, addressOf);
    for (let message = 0; message < capacity; message += 1) this.#build(message);
  }

  /** The struct mmsghdr[] to receive into. */
  get address(): number {
    return this.#vector.address;
  }

  get count(): number {
    return this.#count;
  }

  /** Takes over what recvmmsg returned. */
  received(count: number): void {
    this.#count = count;
  }

  /** Undoes what the last recvmmsg wrote into the headers of its messages. */
  rewind(): void {
    const { control, name } = this.#shape;
    for (let message = 0; message < this.#count; message += 1) {
      const at = message * MMSGHDR_BYTES;
      this.#vector.u32[(at + MESSAGE.nameLength) / 4] = name;
      this.#vector.setWord(at + MESSAGE.controlLength, control);
    }
    this.#count = 0;
  }

  /** Bytes of a message. */
  length(message: number): number {
    return this.#vector.u32[(message * MMSGHDR_BYTES + MESSAGE.length) / 4] ?? 0;
  }

  /** The socket address that a message came from; a view. */
  name(message: number): Uint8Array {
    const { name, nameStride } = this.#shape;
    return this.#names.bytes.subarray(message * nameStride, message * nameStride + name);
  }

  /** The same as an end (docs/PROTOCOL.md). */
  end(message: number): Uint8Array {
    const end = new Uint8Array(ENDPOINT_BYTES);
    const name = this.name(message);
    if (this.#shape.family === 'ipv4') {
      end.fill(0xff, IPV6_LENGTH - 6, IPV6_LENGTH - 4);
      end.set(name.subarray(SIN_ADDR, SIN_ADDR + 4), IPV6_LENGTH - 4);
    } else end.set(name.subarray(SIN6_ADDR, SIN6_ADDR + IPV6_LENGTH));
    end.set(name.subarray(SIN_PORT, SIN_PORT + 2), IPV6_LENGTH);
    return end;
  }

  /** Bytes of the address that a message came to, a view; none where it was not sent to this host alone. */
  local(message: number): Uint8Array {
    const end = this.#controlEnd(message);
    const view = this.#controlsView;
    const ipv4 = this.#shape.family === 'ipv4';
    for (let at = this.#controlStart(message); at + CMSGHDR_BYTES <= end; at = this.#after(at)) {
      const found = ipv4 ? readPktinfo(view, at, end - at) : findPktinfo6(view, at, end - at);
      if (found === undefined) continue;
      const from = at + this.#shape.source;
      return this.#controls.bytes.subarray(from, from + (ipv4 ? 4 : IPV6_LENGTH));
    }
    return new Uint8Array();
  }

  /** Source address of a message over IPv4, as an unsigned number. */
  sourceIp(message: number): number {
    return this.#names.u32be(message * this.#shape.nameStride + 4);
  }

  sourcePort(message: number): number {
    return this.#names.u16be(message * this.#shape.nameStride + 2);
  }

  /** Puts the source address of a message over IPv6 (ipv6-words.ts) into `words`, from `at` on. */
  sourceWords(message: number, words: Uint32Array, at: number): void {
    const from = (message * this.#shape.nameStride + SIN6_ADDR) / 4;
    for (let index = 0; index < IPV6_WORDS; index += 1) {
      words[at + index] = this.#names.u32[from + index] ?? 0;
    }
  }

  /** The same of its destination; false where `destinationIp` is undefined. */
  destinationWords(message: number, words: Uint32Array, at: number): boolean {
    const end = this.#controlEnd(message);
    const view = this.#controlsView;
    for (
      let here = this.#controlStart(message);
      here + CMSGHDR_BYTES <= end;
      here = this.#after(here)
    ) {
      const found = findPktinfo6(view, here, end - here);
      if (found === undefined) continue;
      for (let index = 0; index < IPV6_WORDS; index += 1) {
        words[at + index] = this.#controls.u32[found / 4 + index] ?? 0;
      }
      return true;
    }
    return false;
  }

  /**
   * Whether a message over IPv6 came in fragments or with extension headers, which the kernel has dealt with: nobody
   * who speaks this protocol sends such.
   */
  unusual(message: number): boolean {
    if ((this.#vector.u32[(message * MMSGHDR_BYTES + MESSAGE.flags) / 4] ?? 0) & MSG_CTRUNC) {
      return true;
    }
    const end = this.#controlEnd(message);
    const view = this.#controlsView;
    for (let at = this.#controlStart(message); at + CMSGHDR_BYTES <= end; at = this.#after(at)) {
      const ipv6 = view.getInt32(at + 8, littleEndian) === IPPROTO_IPV6;
      if (ipv6 && UNUSUAL.has(view.getInt32(at + 12, littleEndian))) return true;
    }
    return false;
  }

  /** Type of service, or traffic class, of a message; 0 where it is not told. */
  trafficClass(message: number): number {
    if (this.#shape.family === 'ipv6') return this.#number(message, IPPROTO_IPV6, IPV6_TCLASS) ?? 0;
    const at = this.#find(message, IPPROTO_IP, IP_TOS);
    return at === undefined ? 0 : (this.#controls.bytes[at] ?? 0);
  }

  /** Destination address of a message over IPv4; undefined when it was not sent to this host alone. */
  destinationIp(message: number): number | undefined {
    const end = this.#controlEnd(message);
    for (let at = this.#controlStart(message); at + CMSGHDR_BYTES <= end; at = this.#after(at)) {
      const destination = readPktinfo(this.#controlsView, at, end - at);
      if (destination !== undefined) return destination;
    }
    return undefined;
  }

  /** Bytes of each datagram of a message but the last; the whole message's when it is one datagram. */
  segmentSize(message: number): number {
    return Math.max(1, this.#number(message, SOL_UDP, UDP_GRO) ?? this.length(message));
  }

  /** What a control message of one int says. */
  #number(message: number, level: number, type: number): number | undefined {
    const at = this.#find(message, level, type);
    return at === undefined ? undefined : this.#controlsView.getInt32(at, littleEndian);
  }

  /** Where what a control message says begins. */
  #find(message: number, level: number, type: number): number | undefined {
    const end = this.#controlEnd(message);
    const view = this.#controlsView;
    for (
      let at = this.#controlStart(message);
      at + CMSGHDR_BYTES + 4 <= end;
      at = this.#after(at)
    ) {
      if (
        view.getInt32(at + 8, littleEndian) === level &&
        view.getInt32(at + 12, littleEndian) === type
      ) {
        return at + CMSGHDR_BYTES;
      }
    }
    return undefined;
  }

  #controlStart(message: number): number {
    return message * this.#shape.control;
  }

  #controlEnd(message: number): number {
    const length = this.#vector.lowWord(message * MMSGHDR_BYTES + MESSAGE.controlLength);
    return this.#controlStart(message) + Math.min(this.#shape.control, length);
  }

  /** The next control message: CMSG_ALIGN of cmsg_len, which is never below its own header's size. */
  #after(at: number): number {
    return at + ((Math.max(CMSGHDR_BYTES, this.#controls.lowWord(at)) + 7) & ~7);
  }

  #build(message: number): void {
    const { control, name, nameStride } = this.#shape;
    const at = message * MMSGHDR_BYTES;
    const iovec = message * IOVEC_BYTES;
    this.#iovecs.setWord(iovec, this.packets.address + message * MESSAGE_BYTES);
    this.#iovecs.setWord(iovec + 8, MESSAGE_BYTES);
    this.#vector.setWord(at, this.#names.address + message * nameStride);
    this.#vector.u32[(at + MESSAGE.nameLength) / 4] = name;
    this.#vector.setWord(at + 16, this.#iovecs.address + iovec);
    this.#vector.setWord(at + 24, 1);
    this.#vector.setWord(at + 32, this.#controls.address + message * control);
    this.#vector.setWord(at + MESSAGE.controlLength, control);
  }
}

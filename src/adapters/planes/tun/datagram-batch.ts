/**
 * Datagrams on their way to the socket, as one sendmmsg(2) takes them. Datagrams of one size to one
 * peer that follow each other are one message, a train: the kernel cuts it up (UDP_SEGMENT of
 * linux/udp.h, Linux 4.18), or hands it to a device that does. The last one of a train may be shorter.
 *
 * A message's control is drawn in message-shape.ts; UDP_SEGMENT comes last:
 *
 *     0 cmsg_len 18    8 level 17    12 type 103    16 size u16
 */
import { Arena } from './arena.ts';
import { MAX_DATAGRAMS, MAX_TRAIN_BYTES, MAX_TRAIN_DATAGRAMS } from './limits.ts';
import {
  CMSGHDR_BYTES,
  encodePktinfo,
  encodePktinfo6,
  INT_SPACE,
  IOVEC_BYTES,
  IPPROTO_IPV6,
  littleEndian,
  MMSGHDR_BYTES,
  SOL_UDP,
  UDP_SEGMENT,
  viewOf,
  type AddressOf,
} from '../../udp/message-headers.ts';
import { IPV4_MESSAGES, type MessageShape } from './message-shape.ts';
import type { Peer } from './peer-table.ts';

/** linux/in6.h */
const IPV6_TCLASS = 67;
/** Where in a struct sockaddr_in6 the flow label is, in words. */
const FLOWINFO_WORD = 1;
/** Offsets within a struct mmsghdr (message-headers.ts). */
const MESSAGE = { iov: 16, iovCount: 24, controlLength: 40 } as const;
/** A head and a body at most. */
const IOVECS_PER_DATAGRAM = 2;

export class DatagramBatch {
  readonly #shape: MessageShape;
  readonly #vector: Arena;
  readonly #names: Arena;
  readonly #controls: Arena;
  readonly #iovecs: Arena;
  readonly #targets: (Peer | undefined)[];
  /** Of each message: its datagrams, its first datagram, and its bytes. */
  readonly #counts = new Uint32Array(MAX_DATAGRAMS);
  readonly #firsts = new Uint32Array(MAX_DATAGRAMS);
  readonly #bytes = new Uint32Array(MAX_DATAGRAMS);
  /** First iovec of each datagram, and of the one that would come next. */
  readonly #starts = new Uint32Array(MAX_DATAGRAMS + 1);
  #messages = 0;
  #datagrams = 0;
  /** Size of the datagrams of the train that is open; 0: none is. Its class and label. */
  #openSize = 0;
  #openClass = 0;
  #openLabel = 0;
  #labels: boolean;
  /** Whether the socket takes trains, and of how long datagrams. */
  trains: boolean;
  longest = Infinity;

  constructor(addressOf: AddressOf, trains: boolean, shape: MessageShape = IPV4_MESSAGES) {
    this.trains = trains;
    this.#shape = shape;
    this.#labels = shape.family === 'ipv6';
    this.#vector = new Arena(MAX_DATAGRAMS * MMSGHDR_BYTES, addressOf);
    this.#names = new Arena(MAX_DATAGRAMS * shape.nameStride, addressOf);
    this.#controls = new Arena(MAX_DATAGRAMS * shape.control, addressOf);
    this.#iovecs = new Arena(MAX_DATAGRAMS * IOVECS_PER_DATAGRAM * IOVEC_BYTES, addressOf);
    this.#targets = Array.from({ length: MAX_DATAGRAMS }, () => undefined);
    for (let message = 0; message < MAX_DATAGRAMS; message += 1) this.#build(message);
  }

  /** Messages, to be sent from `address(0)` on. */
  get messages(): number {
    return this.#messages;
  }

  /** Datagrams in all; the next one's number. */
  get datagrams(): number {
    return this.#datagrams;
  }

  get full(): boolean {
    return this.#datagrams === MAX_DATAGRAMS;
  }

  /** The struct mmsghdr of a message. */
  address(message: number): number {
    return this.#vector.address + message * MMSGHDR_BYTES;
  }

  target(message: number): Peer | undefined {
    return this.#targets[message];
  }

  /** Datagrams of a message. */
  count(message: number): number {
    return this.#counts[message] ?? 0;
  }

  /** Bytes of a message's payload. */
  bytes(message: number): number {
    return this.#bytes[message] ?? 0;
  }

  clear(): void {
    this.#messages = 0;
    this.#datagrams = 0;
    this.#openSize = 0;
  }

  /**
   * Adds a datagram out of two parts; the second may be empty. Not when `full`. Over IPv6 it has a traffic class
   * and a flow label, the latter in network byte order read as a word in host byte order.
   */
  add(
    peer: Peer,
    headAddress: number,
    headLength: number,
    bodyAddress: number,
    bodyLength: number,
    trafficClass = 0,
    label = 0,
  ): void {
    const length = headLength + bodyLength;
    const first = this.#starts[this.#datagrams] ?? 0;
    this.#iovec(first, headAddress, headLength);
    if (bodyLength > 0) this.#iovec(first + 1, bodyAddress, bodyLength);
    const iovecs = bodyLength > 0 ? 2 : 1;
    if (
      trafficClass === this.#openClass &&
      label === this.#openLabel &&
      this.#joins(peer, length)
    ) {
      this.#join(length, iovecs);
    } else {
      this.#open(peer, length, first, iovecs);
      if (this.#shape.trafficClass !== undefined) this.#mark(trafficClass, label);
    }
    if (length < this.#openSize) this.#openSize = 0;
    this.#datagrams += 1;
    this.#starts[this.#datagrams] = first + iovecs;
  }

  /**
   * Makes `message` carry its n-th datagram alone, without UDP_SEGMENT: for what the socket did not take
   * as a train. `solo` returns the bytes of that datagram.
   */
  solo(message: number, index: number): number {
    const datagram = (this.#firsts[message] ?? 0) + index;
    const start = this.#starts[datagram] ?? 0;
    const end = this.#starts[datagram + 1] ?? start;
    const at = message * MMSGHDR_BYTES;
    this.#vector.setWord(at + MESSAGE.iov, this.#iovecs.address + start * IOVEC_BYTES);
    this.#vector.setWord(at + MESSAGE.iovCount, end - start);
    this.#vector.setWord(at + MESSAGE.controlLength, this.#shape.always);
    let bytes = 0;
    for (let iovec = start; iovec < end; iovec += 1) {
      bytes += this.#iovecs.lowWord(iovec * IOVEC_BYTES + 8);
    }
    return bytes;
  }

  /** Takes the flow labels from all messages, and gives none any more. */
  dropLabels(): void {
    this.#labels = false;
    for (let message = 0; message < this.#messages; message += 1) {
      this.#names.u32[(message * this.#shape.nameStride) / 4 + FLOWINFO_WORD] = 0;
    }
  }

  /** Whether messages have flow labels. */
  get labels(): boolean {
    return this.#labels;
  }

  #joins(peer: Peer, length: number): boolean {
    const message = this.#messages - 1;
    return (
      this.trains &&
      this.#openSize <= this.longest &&
      length <= this.#openSize &&
      this.#targets[message] === peer &&
      (this.#counts[message] ?? 0) < MAX_TRAIN_DATAGRAMS &&
      (this.#bytes[message] ?? 0) + length <= MAX_TRAIN_BYTES
    );
  }

  #join(length: number, iovecs: number): void {
    const message = this.#messages - 1;
    const at = message * MMSGHDR_BYTES;
    const count = this.#counts[message] ?? 0;
    if (count === 1) {
      const { always, control } = this.#shape;
      const size = message * control + always + CMSGHDR_BYTES;
      this.#controls.u16[size / 2] = this.#openSize;
      this.#vector.setWord(at + MESSAGE.controlLength, always + INT_SPACE);
    }
    this.#counts[message] = count + 1;
    this.#bytes[message] = (this.#bytes[message] ?? 0) + length;
    const total = this.#vector.lowWord(at + MESSAGE.iovCount) + iovecs;
    this.#vector.setWord(at + MESSAGE.iovCount, total);
  }

  #open(peer: Peer, length: number, iovec: number, iovecs: number): void {
    const message = this.#messages;
    const at = message * MMSGHDR_BYTES;
    const { always, control, nameStride, nameWords, source } = this.#shape;
    const { words } = peer;
    this.#messages += 1;
    copyWords(words, 0, nameWords, this.#names.u32, (message * nameStride) / 4);
    const to = (message * control + source) / 4;
    copyWords(words, nameWords, words.length, this.#controls.u32, to);
    this.#vector.setWord(at + MESSAGE.iov, this.#iovecs.address + iovec * IOVEC_BYTES);
    this.#vector.setWord(at + MESSAGE.iovCount, iovecs);
    this.#vector.setWord(at + MESSAGE.controlLength, always);
    this.#targets[message] = peer;
    this.#counts[message] = 1;
    this.#firsts[message] = this.#datagrams;
    this.#bytes[message] = length;
    this.#openSize = length;
  }

  /** Of the message that was opened last. */
  #mark(trafficClass: number, label: number): void {
    const message = this.#messages - 1;
    const { control, nameStride, trafficClass: at = 0 } = this.#shape;
    this.#openClass = trafficClass;
    this.#openLabel = label;
    this.#controls.u32[(message * control + at) / 4] = trafficClass;
    if (this.#labels) this.#names.u32[(message * nameStride) / 4 + FLOWINFO_WORD] = label;
  }

  #iovec(index: number, address: number, length: number): void {
    this.#iovecs.setWord(index * IOVEC_BYTES, address);
    this.#iovecs.setWord(index * IOVEC_BYTES + 8, length);
  }

  /** What never changes in a message. */
  #build(message: number): void {
    const { always, control: stride, family, name, nameStride } = this.#shape;
    const at = message * MMSGHDR_BYTES;
    this.#vector.setWord(at, this.#names.address + message * nameStride);
    this.#vector.u32[at / 4 + 2] = name;
    const control = message * stride;
    this.#vector.setWord(at + 32, this.#controls.address + control);
    const first = this.#controls.bytes.subarray(control, control + always);
    if (family === 'ipv4') encodePktinfo(first, 0);
    else {
      encodePktinfo6(first, new Uint8Array(16));
      const header = { length: CMSGHDR_BYTES + 4, level: IPPROTO_IPV6, type: IPV6_TCLASS };
      this.#header(control + always - INT_SPACE, header);
    }
    const segment = { length: CMSGHDR_BYTES + 2, level: SOL_UDP, type: UDP_SEGMENT };
    this.#header(control + always, segment);
  }

  /** A struct cmsghdr. */
  #header(
    at: number,
    {
      length,
      level,
      type,
    }: { readonly length: number; readonly level: number; readonly type: number },
  ): void {
    const view = viewOf(this.#controls.bytes);
    this.#controls.setWord(at, length);
    view.setInt32(at + 8, level, littleEndian);
    view.setInt32(at + 12, type, littleEndian);
  }
}

function copyWords(
  words: readonly number[],
  from: number,
  end: number,
  to: Uint32Array,
  at: number,
): void {
  for (let index = from; index < end; index += 1) to[at + index - from] = words[index] ?? 0;
}

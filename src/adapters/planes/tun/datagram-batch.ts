/**
 * Datagrams on their way to the socket, as one sendmmsg(2) takes them. Datagrams of one size to one
 * peer that follow each other are one message, a train: the kernel cuts it up (UDP_SEGMENT of
 * linux/udp.h, Linux 4.18), or hands it to a device that does. The last one of a train may be shorter.
 *
 *     control of a message    0 IP_PKTINFO (32 bytes)    32 UDP_SEGMENT (24 bytes)
 *     UDP_SEGMENT             0 cmsg_len 18    8 level 17    12 type 103    16 size u16
 */
import { SOCKADDR_IN_LENGTH } from '../../../core/wire/sockaddr.ts';
import { Arena } from './arena.ts';
import { MAX_DATAGRAMS, MAX_TRAIN_BYTES, MAX_TRAIN_DATAGRAMS } from './limits.ts';
import {
  CMSGHDR_BYTES,
  encodePktinfo,
  INT_SPACE,
  IOVEC_BYTES,
  littleEndian,
  MMSGHDR_BYTES,
  PKTINFO_SPACE,
  SOL_UDP,
  UDP_SEGMENT,
  viewOf,
  type AddressOf,
} from '../../udp/message-headers.ts';
import type { Peer } from './peer-table.ts';

const CONTROL_BYTES = PKTINFO_SPACE + INT_SPACE + 8;
/** Offsets within a message's control and within a struct mmsghdr (message-headers.ts). */
const CONTROL = {
  source: 20,
  segment: PKTINFO_SPACE,
  size: PKTINFO_SPACE + CMSGHDR_BYTES,
} as const;
const MESSAGE = { iov: 16, iovCount: 24, controlLength: 40 } as const;
/** A head and a body at most. */
const IOVECS_PER_DATAGRAM = 2;

export class DatagramBatch {
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
  /** Size of the datagrams of the train that is open; 0: none is. */
  #openSize = 0;
  /** Whether the socket takes trains. */
  trains: boolean;

  constructor(addressOf: AddressOf, trains: boolean) {
    this.trains = trains;
    this.#vector = new Arena(MAX_DATAGRAMS * MMSGHDR_BYTES, addressOf);
    this.#names = new Arena(MAX_DATAGRAMS * SOCKADDR_IN_LENGTH, addressOf);
    this.#controls = new Arena(MAX_DATAGRAMS * CONTROL_BYTES, addressOf);
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

  /** Adds a datagram out of two parts; the second may be empty. Not when `full`. */
  add(
    peer: Peer,
    headAddress: number,
    headLength: number,
    bodyAddress: number,
    bodyLength: number,
  ): void {
    const length = headLength + bodyLength;
    const first = this.#starts[this.#datagrams] ?? 0;
    this.#iovec(first, headAddress, headLength);
    if (bodyLength > 0) this.#iovec(first + 1, bodyAddress, bodyLength);
    const iovecs = bodyLength > 0 ? 2 : 1;
    if (this.#joins(peer, length)) this.#join(length, iovecs);
    else this.#open(peer, length, first, iovecs);
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
    this.#vector.setWord(at + MESSAGE.controlLength, PKTINFO_SPACE);
    let bytes = 0;
    for (let iovec = start; iovec < end; iovec += 1) {
      bytes += this.#iovecs.lowWord(iovec * IOVEC_BYTES + 8);
    }
    return bytes;
  }

  #joins(peer: Peer, length: number): boolean {
    const message = this.#messages - 1;
    return (
      this.trains &&
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
      this.#controls.u16[(message * CONTROL_BYTES + CONTROL.size) / 2] = this.#openSize;
      this.#vector.setWord(at + MESSAGE.controlLength, PKTINFO_SPACE + INT_SPACE);
    }
    this.#counts[message] = count + 1;
    this.#bytes[message] = (this.#bytes[message] ?? 0) + length;
    const total = this.#vector.lowWord(at + MESSAGE.iovCount) + iovecs;
    this.#vector.setWord(at + MESSAGE.iovCount, total);
  }

  #open(peer: Peer, length: number, iovec: number, iovecs: number): void {
    const message = this.#messages;
    const at = message * MMSGHDR_BYTES;
    const name = (message * SOCKADDR_IN_LENGTH) / 4;
    this.#messages += 1;
    this.#names.u32[name] = peer.nameWords[0];
    this.#names.u32[name + 1] = peer.nameWords[1];
    this.#controls.u32[(message * CONTROL_BYTES + CONTROL.source) / 4] = peer.sourceWord;
    this.#vector.setWord(at + MESSAGE.iov, this.#iovecs.address + iovec * IOVEC_BYTES);
    this.#vector.setWord(at + MESSAGE.iovCount, iovecs);
    this.#vector.setWord(at + MESSAGE.controlLength, PKTINFO_SPACE);
    this.#targets[message] = peer;
    this.#counts[message] = 1;
    this.#firsts[message] = this.#datagrams;
    this.#bytes[message] = length;
    this.#openSize = length;
  }

  #iovec(index: number, address: number, length: number): void {
    this.#iovecs.setWord(index * IOVEC_BYTES, address);
    this.#iovecs.setWord(index * IOVEC_BYTES + 8, length);
  }

  /** What never changes in a message. */
  #build(message: number): void {
    const at = message * MMSGHDR_BYTES;
    this.#vector.setWord(at, this.#names.address + message * SOCKADDR_IN_LENGTH);
    this.#vector.u32[at / 4 + 2] = SOCKADDR_IN_LENGTH;
    const control = message * CONTROL_BYTES;
    this.#vector.setWord(at + 32, this.#controls.address + control);
    encodePktinfo(this.#controls.bytes.subarray(control, control + PKTINFO_SPACE), 0);
    const segment = control + CONTROL.segment;
    this.#controls.setWord(segment, CMSGHDR_BYTES + 2);
    const view = viewOf(this.#controls.bytes);
    view.setInt32(segment + 8, SOL_UDP, littleEndian);
    view.setInt32(segment + 12, UDP_SEGMENT, littleEndian);
  }
}

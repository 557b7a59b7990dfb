/**
 * What one recvmmsg(2) brings. With UDP_GRO (linux/udp.h, Linux 5.0) a message may be many datagrams of
 * one sender, all of `segmentSize` bytes but the last, which may be shorter.
 *
 *     control of a message    IP_PKTINFO (32 bytes) and UDP_GRO (24 bytes), in the kernel's order
 *     UDP_GRO                 0 cmsg_len 20    8 level 17    12 type 104    16 size i32
 */
import { SOCKADDR_IN_LENGTH } from '../../../core/wire/sockaddr.ts';
import { Arena } from './arena.ts';
import {
  CMSGHDR_BYTES,
  INT_SPACE,
  IOVEC_BYTES,
  littleEndian,
  MMSGHDR_BYTES,
  PKTINFO_SPACE,
  readPktinfo,
  SOL_UDP,
  UDP_GRO,
  viewOf,
  type AddressOf,
} from '../../udp/message-headers.ts';
import { vectorMemory } from './vector-sum.ts';

/** More than any UDP payload (65507), so that nothing is ever truncated; untouched pages cost nothing. */
export const MESSAGE_BYTES = 65_536;

const CONTROL_BYTES = PKTINFO_SPACE + INT_SPACE + 8;
const MESSAGE = { nameLength: 8, controlLength: 40, length: 56 } as const;

export class InboundBatch {
  /** The payloads; message n begins at n * MESSAGE_BYTES. */
  readonly packets: Arena;
  readonly capacity: number;
  readonly #vector: Arena;
  readonly #names: Arena;
  readonly #controls: Arena;
  readonly #controlsView: DataView;
  readonly #iovecs: Arena;
  #count = 0;

  constructor(capacity: number, addressOf: AddressOf) {
    this.capacity = capacity;
    const room = capacity * MESSAGE_BYTES;
    this.packets = new Arena(room, addressOf, vectorMemory(room));
    this.#vector = new Arena(capacity * MMSGHDR_BYTES, addressOf);
    this.#names = new Arena(capacity * SOCKADDR_IN_LENGTH, addressOf);
    this.#controls = new Arena(capacity * CONTROL_BYTES, addressOf);
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
    for (let message = 0; message < this.#count; message += 1) {
      const at = message * MMSGHDR_BYTES;
      this.#vector.u32[(at + MESSAGE.nameLength) / 4] = SOCKADDR_IN_LENGTH;
      this.#vector.setWord(at + MESSAGE.controlLength, CONTROL_BYTES);
    }
    this.#count = 0;
  }

  /** Bytes of a message. */
  length(message: number): number {
    return this.#vector.u32[(message * MMSGHDR_BYTES + MESSAGE.length) / 4] ?? 0;
  }

  /** Source address of a message, as an unsigned number. */
  sourceIp(message: number): number {
    return this.#names.u32be(message * SOCKADDR_IN_LENGTH + 4);
  }

  sourcePort(message: number): number {
    return this.#names.u16be(message * SOCKADDR_IN_LENGTH + 2);
  }

  /** Destination address of a message; undefined when it was not sent to this host alone. */
  destinationIp(message: number): number | undefined {
    const end = this.#controlEnd(message);
    for (let at = message * CONTROL_BYTES; at + CMSGHDR_BYTES <= end; at = this.#after(at)) {
      const destination = readPktinfo(this.#controlsView, at, end - at);
      if (destination !== undefined) return destination;
    }
    return undefined;
  }

  /** Bytes of each datagram of a message but the last; the whole message's when it is one datagram. */
  segmentSize(message: number): number {
    const end = this.#controlEnd(message);
    const view = this.#controlsView;
    for (let at = message * CONTROL_BYTES; at + CMSGHDR_BYTES + 4 <= end; at = this.#after(at)) {
      if (
        view.getInt32(at + 8, littleEndian) === SOL_UDP &&
        view.getInt32(at + 12, littleEndian) === UDP_GRO
      ) {
        return Math.max(1, view.getInt32(at + CMSGHDR_BYTES, littleEndian));
      }
    }
    return Math.max(1, this.length(message));
  }

  #controlEnd(message: number): number {
    const length = this.#vector.lowWord(message * MMSGHDR_BYTES + MESSAGE.controlLength);
    return message * CONTROL_BYTES + Math.min(CONTROL_BYTES, length);
  }

  /** The next control message: CMSG_ALIGN of cmsg_len, which is never below its own header's size. */
  #after(at: number): number {
    return at + ((Math.max(CMSGHDR_BYTES, this.#controls.lowWord(at)) + 7) & ~7);
  }

  #build(message: number): void {
    const at = message * MMSGHDR_BYTES;
    const iovec = message * IOVEC_BYTES;
    this.#iovecs.setWord(iovec, this.packets.address + message * MESSAGE_BYTES);
    this.#iovecs.setWord(iovec + 8, MESSAGE_BYTES);
    this.#vector.setWord(at, this.#names.address + message * SOCKADDR_IN_LENGTH);
    this.#vector.u32[(at + MESSAGE.nameLength) / 4] = SOCKADDR_IN_LENGTH;
    this.#vector.setWord(at + 16, this.#iovecs.address + iovec);
    this.#vector.setWord(at + 24, 1);
    this.#vector.setWord(at + 32, this.#controls.address + message * CONTROL_BYTES);
    this.#vector.setWord(at + MESSAGE.controlLength, CONTROL_BYTES);
  }
}

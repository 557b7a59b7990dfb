import { SOCKADDR_IN_LENGTH } from '../../../core/wire/sockaddr.ts';
import {
  encodeIovec,
  encodeMessage,
  IOVEC_BYTES,
  littleEndian,
  MMSGHDR_BYTES,
  PKTINFO_SPACE,
  readPktinfo,
  viewOf,
  type AddressOf,
} from './message-headers.ts';
import { pinned, type PacketBatch } from './packet-batch.ts';

/** Where a prepared message goes: a struct sockaddr_in and an IP_PKTINFO, both pinned by their owner. */
export type Destination = { readonly name: bigint; readonly control: bigint };

/** Indexes into a struct mmsghdr seen as 16 u32 or 8 u64 (message-headers.ts). */
const U32 = { nameLength: 2, length: 14, perMessage: MMSGHDR_BYTES / 4 } as const;
const U64 = {
  name: 0,
  iov: 2,
  control: 4,
  controlLength: 5,
  perMessage: MMSGHDR_BYTES / 8,
} as const;
/** The low half of iov_len. */
const IOVEC_LENGTH_U32 = littleEndian ? 2 : 3;

const PKTINFO_SPACE_WORD = BigInt(PKTINFO_SPACE);

/**
 * The headers of up to `batch.slots.length` messages over one packet batch, built once: a turn only
 * rewrites what the kernel changed. Host byte order throughout; size_t values stay below 2^32.
 */
export class MessageBatch {
  readonly batch: PacketBatch;
  /** struct mmsghdr[]. */
  readonly vector: Uint8Array;
  /** `vector` from its n-th message on, for the rest of a batch that was sent in part. */
  readonly tails: readonly Uint8Array[];
  readonly #vector32: Uint32Array;
  readonly #vector64: BigUint64Array;
  readonly #iovecs: Uint8Array;
  readonly #iovecs32: Uint32Array;
  readonly #iovecAddresses: readonly bigint[];
  readonly #names: Uint8Array;
  readonly #namesView: DataView;
  readonly #controls: Uint8Array;
  readonly #controlsView: DataView;
  /** Packet slot of each prepared message. */
  readonly #slotOf: Uint32Array;
  #prepared = 0;

  constructor(batch: PacketBatch, addressOf: AddressOf) {
    const count = batch.slots.length;
    this.batch = batch;
    this.vector = pinned(count * MMSGHDR_BYTES);
    this.tails = batch.slots.map((_, index) => this.vector.subarray(index * MMSGHDR_BYTES));
    this.#vector32 = new Uint32Array(this.vector.buffer);
    this.#vector64 = new BigUint64Array(this.vector.buffer);
    this.#iovecs = pinned(count * IOVEC_BYTES);
    this.#iovecs32 = new Uint32Array(this.#iovecs.buffer);
    this.#names = pinned(count * SOCKADDR_IN_LENGTH);
    this.#namesView = viewOf(this.#names);
    this.#controls = pinned(count * PKTINFO_SPACE);
    this.#controlsView = viewOf(this.#controls);
    this.#slotOf = new Uint32Array(count);

    const iovecs = addressOf(this.#iovecs);
    const names = addressOf(this.#names);
    const controls = addressOf(this.#controls);
    this.#iovecAddresses = batch.slots.map((_, index) => iovecs + BigInt(index * IOVEC_BYTES));
    for (const [index, slot] of batch.slots.entries()) {
      encodeIovec(this.#iovecs.subarray(index * IOVEC_BYTES), addressOf(slot), slot.length);
      const message = {
        name: names + BigInt(index * SOCKADDR_IN_LENGTH),
        iovec: iovecs + BigInt(index * IOVEC_BYTES),
        control: controls + BigInt(index * PKTINFO_SPACE),
      };
      encodeMessage(this.vector.subarray(index * MMSGHDR_BYTES), message, PKTINFO_SPACE);
    }
  }

  /** Undoes what the last recvmmsg wrote into the headers of its messages. */
  rewind(): void {
    for (let index = 0; index < this.batch.count; index += 1) {
      this.#vector32[index * U32.perMessage + U32.nameLength] = SOCKADDR_IN_LENGTH;
      this.#vector64[index * U64.perMessage + U64.controlLength] = PKTINFO_SPACE_WORD;
    }
    this.batch.count = 0;
  }

  /** Takes over what recvmmsg returned: `count` messages and their lengths. */
  received(count: number): void {
    this.batch.count = count;
    for (let index = 0; index < count; index += 1) {
      this.batch.lengths[index] = this.#vector32[index * U32.perMessage + U32.length] ?? 0;
    }
  }

  /** Source address of a received message, as an unsigned number. */
  sourceIp(index: number): number {
    return this.#namesView.getUint32(index * SOCKADDR_IN_LENGTH + 4, false);
  }

  sourcePort(index: number): number {
    return this.#namesView.getUint16(index * SOCKADDR_IN_LENGTH + 2, false);
  }

  /** Destination address of a received message; undefined when it was not sent to this host alone. */
  destinationIp(index: number): number | undefined {
    const length = Number(this.#vector64[index * U64.perMessage + U64.controlLength] ?? 0n);
    return readPktinfo(this.#controlsView, index * PKTINFO_SPACE, length);
  }

  /** Forgets the prepared messages. */
  clear(): void {
    this.#prepared = 0;
  }

  /** Prepares the packet of `slot` for sending, after those prepared before. */
  prepare(slot: number, to: Destination): void {
    const message = this.#prepared;
    this.#prepared += 1;
    this.#slotOf[message] = slot;
    const words = message * U64.perMessage;
    this.#vector64[words + U64.name] = to.name;
    this.#vector64[words + U64.iov] = this.#iovecAddresses[slot] ?? 0n;
    this.#vector64[words + U64.control] = to.control;
    this.#iovecs32[slot * (IOVEC_BYTES / 4) + IOVEC_LENGTH_U32] = this.batch.lengths[slot] ?? 0;
  }

  get prepared(): number {
    return this.#prepared;
  }

  /** The packet slot of a prepared message. */
  slotOf(message: number): number {
    return this.#slotOf[message] ?? 0;
  }
}

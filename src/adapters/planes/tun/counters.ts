import { millis } from '../../../core/units.ts';
import type { PeerCounters } from '../../../ports/data-plane.ts';
import { CHUNK_SLOTS } from './limits.ts';

/** What the plane counts besides peers' packets: packets that went nowhere, by reason. */
export const LOSSES = [
  /** From a path that is not admitted: over the rate, or the queue to the session was full. */
  'stranger',
  /** Not data, from an admitted peer: over the rate, or the queue was full. */
  'control',
  /** Over IPv6 in fragments, with extension headers, or from an address that is no host's beyond a link. */
  'unusual',
  /** From an admitted peer, with an inner source that is not its own. */
  'inner-source',
  /** From an admitted path without a tag, of a peer whose packets carry tags. */
  'untagged',
  /** Tagged, of no session that is known, and over the rate of what goes up. */
  'unknown-session',
  /** Tagged at another level than was agreed on. */
  'level',
  /** Tagged, and the tag is wrong. */
  'bad-tag',
  /** Tagged, and has come before, or is too old for that to be known. */
  'replayed',
  /** A first message of session 2 that is not meant for us (its mac1). */
  'mac1',
  /** A first message of session 2, beyond the budget of what goes up, and answered by a cookie. */
  'cookie',
  /** Out of the device, and no counter is left under the key of its tag. */
  'exhausted',
  /** Out of the device, and whom it is for is not admitted or not known. */
  'no-peer',
  /** Marked on its way as by a router that is congested, where what is inside cannot say so (RFC 6040). */
  'congestion',
  /** Out of the device, and not IPv4 (where IPv4 alone is carried), or no packet. */
  'not-ipv4',
  /** Out of the device, and not IPv6 (where IPv6 alone is carried). */
  'not-ipv6',
  /** IPv6 out of the device, for a peer whose path takes less than IPv6 asks for (1280 bytes). */
  'no-ipv6',
  /** Out of the device, or proved by its tag, with headers that contradict each other. */
  'malformed',
  /** Larger than the path's MTU (EMSGSIZE). */
  'too-big',
  /** The socket's send buffer was full (EAGAIN, ENOBUFS). */
  'send-buffer',
  /** Any other failure to send. */
  'send-failed',
  /** Receiving failed; how many there were is not known. */
  'receive-failed',
  /** The device did not take it (it was down, or gone). */
  'device',
] as const;

export type Loss = (typeof LOSSES)[number];

/** Cells of a peer's slot. */
const CELL = {
  rxPackets: 0,
  rxBytes: 1,
  txPackets: 2,
  txBytes: 3,
  heardAt: 4,
  foreign: 5,
  tooBig: 6,
  control: 7,
  tagFailures: 8,
  replays: 9,
  untagged: 10,
} as const;
const CELLS_PER_PEER = 11;

const LOSS_INDEX: Readonly<Record<Loss, number>> = Object.fromEntries(
  LOSSES.map((loss, index) => [loss, index]),
) as Record<Loss, number>;

/** What the worker has to add to a peer's counters. */
export type Moved = {
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
  readonly foreign: number;
  readonly tooBig: number;
  readonly control: number;
  readonly tagFailures: number;
  readonly replays: number;
  readonly untagged: number;
};

/** A peer's counters, and its packets that were refused. */
export type PeerTotals = PeerCounters & {
  readonly foreign: bigint;
  readonly tagFailures: bigint;
  readonly replays: bigint;
  readonly tooBig: bigint;
  readonly control: bigint;
  readonly untagged: bigint;
};

/**
 * Counters that the worker adds to and the main thread reads, in memory that both share: no
 * message is needed to read them, and they outlive a worker that crashed. Slots of peers come in
 * chunks, made when one of their slots is first given away.
 */
export class SharedCounters {
  readonly memory: SharedArrayBuffer;
  readonly #losses: BigUint64Array;
  readonly #chunks: BigUint64Array[] = [];

  constructor(memory = new SharedArrayBuffer(LOSSES.length * BigUint64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#losses = new BigUint64Array(memory);
  }

  /** Slots that there is memory for. */
  get slots(): number {
    return this.#chunks.length * CHUNK_SLOTS;
  }

  /** Makes memory for more slots; the other side is to be given it by `attach`. */
  grow(): SharedArrayBuffer {
    const cells = CHUNK_SLOTS * CELLS_PER_PEER;
    const chunk = new SharedArrayBuffer(cells * BigUint64Array.BYTES_PER_ELEMENT);
    this.attach(chunk);
    return chunk;
  }

  /** Takes over memory that the other side made; in the order in which it was made. */
  attach(chunk: SharedArrayBuffer): void {
    this.#chunks.push(new BigUint64Array(chunk));
  }

  lost(loss: Loss, packets = 1): void {
    Atomics.add(this.#losses, LOSS_INDEX[loss], BigInt(packets));
  }

  losses(loss: Loss): bigint {
    return Atomics.load(this.#losses, LOSS_INDEX[loss]);
  }

  /** `now`: monotonic milliseconds of the main thread, which a peer was heard at if it was. */
  add(slot: number, moved: Moved, now: number): void {
    this.#add(slot, CELL.rxPackets, moved.rxPackets);
    this.#add(slot, CELL.rxBytes, moved.rxBytes);
    this.#add(slot, CELL.txPackets, moved.txPackets);
    this.#add(slot, CELL.txBytes, moved.txBytes);
    this.#add(slot, CELL.foreign, moved.foreign);
    this.#add(slot, CELL.tooBig, moved.tooBig);
    this.#add(slot, CELL.control, moved.control);
    this.#add(slot, CELL.tagFailures, moved.tagFailures);
    this.#add(slot, CELL.replays, moved.replays);
    this.#add(slot, CELL.untagged, moved.untagged);
    if (moved.rxPackets > 0) this.#store(slot, CELL.heardAt, BigInt(Math.ceil(now)));
  }

  peer(slot: number): PeerTotals {
    return {
      rxPackets: this.#load(slot, CELL.rxPackets),
      rxBytes: this.#load(slot, CELL.rxBytes),
      txPackets: this.#load(slot, CELL.txPackets),
      txBytes: this.#load(slot, CELL.txBytes),
      heardAt: millis(Number(this.#load(slot, CELL.heardAt))),
      foreign: this.#load(slot, CELL.foreign),
      tooBig: this.#load(slot, CELL.tooBig),
      control: this.#load(slot, CELL.control),
      tagFailures: this.#load(slot, CELL.tagFailures),
      replays: this.#load(slot, CELL.replays),
      untagged: this.#load(slot, CELL.untagged),
    };
  }

  /** For a slot that gets another owner. */
  reset(slot: number): void {
    for (const cell of Object.values(CELL)) this.#store(slot, cell, 0n);
  }

  #load(slot: number, cell: number): bigint {
    const chunk = this.#chunks[Math.floor(slot / CHUNK_SLOTS)];
    return chunk ? Atomics.load(chunk, indexOf(slot, cell)) : 0n;
  }

  #store(slot: number, cell: number, value: bigint): void {
    const chunk = this.#chunks[Math.floor(slot / CHUNK_SLOTS)];
    if (chunk) Atomics.store(chunk, indexOf(slot, cell), value);
  }

  #add(slot: number, cell: number, amount: number): void {
    const chunk = this.#chunks[Math.floor(slot / CHUNK_SLOTS)];
    if (chunk && amount > 0) Atomics.add(chunk, indexOf(slot, cell), BigInt(amount));
  }
}

function indexOf(slot: number, cell: number): number {
  return (slot % CHUNK_SLOTS) * CELLS_PER_PEER + cell;
}

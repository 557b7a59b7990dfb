import type { PeerCounters } from '../../../ports/data-plane.ts';
import { MAX_PEERS } from './limits.ts';

/** What the plane counts besides peers' packets: packets that went nowhere, by reason. */
export const LOSSES = [
  /** From a path that is not admitted: over the rate, or the queue to the session was full. */
  'stranger',
  /** Not data, from an admitted peer: over the rate, or the queue was full. */
  'control',
  /** Out of the device while no peer was admitted. */
  'noPeer',
  /** Out of the device, and not IPv4. */
  'notIpv4',
  /** Out of the device with headers that contradict each other. */
  'malformed',
  /** Larger than the path's MTU (EMSGSIZE). */
  'tooBig',
  /** The socket's send buffer was full (EAGAIN, ENOBUFS). */
  'sendBufferFull',
  /** Any other failure to send. */
  'sendFailed',
  /** Receiving failed; how many there were is not known. */
  'receiveFailed',
  /** The device did not take it (it was down, or gone). */
  'deviceRefused',
] as const;

export type Loss = (typeof LOSSES)[number];

/** Indexes of a peer's four counters in its slot. */
const RX_PACKETS = 0;
const RX_BYTES = 1;
const TX_PACKETS = 2;
const TX_BYTES = 3;
const PER_PEER = 4;

const LOSS_INDEX: Readonly<Record<Loss, number>> = Object.fromEntries(
  LOSSES.map((loss, index) => [loss, index]),
) as Record<Loss, number>;

/**
 * Counters that the worker adds to and the main thread reads, in memory that both share: no
 * message is needed to read them, and they outlive a worker that crashed.
 */
export class SharedCounters {
  readonly memory: SharedArrayBuffer;
  readonly #cells: BigUint64Array;

  constructor(
    memory = new SharedArrayBuffer(
      (LOSSES.length + MAX_PEERS * PER_PEER) * BigUint64Array.BYTES_PER_ELEMENT,
    ),
  ) {
    this.memory = memory;
    this.#cells = new BigUint64Array(memory);
  }

  lost(loss: Loss, packets = 1): void {
    Atomics.add(this.#cells, LOSS_INDEX[loss], BigInt(packets));
  }

  losses(loss: Loss): bigint {
    return Atomics.load(this.#cells, LOSS_INDEX[loss]);
  }

  received(slot: number, packets: number, bytes: number): void {
    this.#add(slot, RX_PACKETS, packets);
    this.#add(slot, RX_BYTES, bytes);
  }

  sent(slot: number, packets: number, bytes: number): void {
    this.#add(slot, TX_PACKETS, packets);
    this.#add(slot, TX_BYTES, bytes);
  }

  /** Counters of one peer's slot, 0 to MAX_PEERS - 1. */
  peer(slot: number): PeerCounters {
    return {
      rxPackets: this.#load(slot, RX_PACKETS),
      rxBytes: this.#load(slot, RX_BYTES),
      txPackets: this.#load(slot, TX_PACKETS),
      txBytes: this.#load(slot, TX_BYTES),
    };
  }

  #load(slot: number, counter: number): bigint {
    return Atomics.load(this.#cells, LOSSES.length + slot * PER_PEER + counter);
  }

  #add(slot: number, counter: number, amount: number): void {
    Atomics.add(this.#cells, LOSSES.length + slot * PER_PEER + counter, BigInt(amount));
  }
}

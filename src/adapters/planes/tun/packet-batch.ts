/** Packets moved by one turn of the forwarding loop, and by one recvmmsg or sendmmsg. */
export const BATCH_PACKETS = 64;

/**
 * Bytes of one slot: more than any IPv4 or UDP packet (65535), so that nothing is ever truncated.
 * Memory that no packet has touched is never resident, so small packets cost only their own pages.
 */
export const SLOT_BYTES = 65_536;

/**
 * A fixed set of packet buffers. `lengths[i]` is what slot `i` holds, in bytes; 0 marks a slot that
 * is empty or whose packet has been dealt with. Only the first `count` slots are looked at.
 */
export interface PacketBatch {
  readonly slots: readonly Uint8Array[];
  readonly lengths: Uint32Array;
  count: number;
}

/** Where packets come from. */
export interface PacketSource {
  /** Fills the batch with what is there now, never blocking; sets and returns `count`. */
  readBatch(into: PacketBatch): number;
}

/** Where packets go. */
export interface PacketSink {
  /** Writes every slot that is not empty, in order; returns how many were taken. */
  writeBatch(from: PacketBatch): number;
}

/** Packets that a source or sink could not move, by the errno of the system call. */
export type LossHandler = (operation: string, errno: number) => void;

/**
 * Memory outside the JavaScript heap: a small typed array may live inside it and move, which
 * would leave the kernel with a dangling address.
 */
export function pinned(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(length));
}

export function packetBatch(packets: number, slotBytes: number): PacketBatch {
  const memory = new ArrayBuffer(packets * slotBytes);
  return {
    slots: Array.from(
      { length: packets },
      (_, index) => new Uint8Array(memory, index * slotBytes, slotBytes),
    ),
    lengths: new Uint32Array(packets),
    count: 0,
  };
}

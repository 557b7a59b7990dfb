import { millis } from '../../../core/units.ts';
import type { PlaneCapabilities } from '../../../ports/data-plane.ts';

/** Every bound of the tun plane on one page, but for the rates (core/budgets.ts). */

export const CAPABILITIES: PlaneCapabilities = {
  maxPeers: undefined,
  integrity: ['none', 'header', 'full'],
  counting: 'exact',
  fragments: true,
};

/** Slots of the shared counters that are made at once: 88 bytes each, for peers that are admitted. */
export const CHUNK_SLOTS = 1024;

/**
 * Peers that one message to the forwarding thread is about, and whose routes are changed at once: a few
 * milliseconds of the thread's time, and little to remember meanwhile.
 */
export const PEERS_PER_SLICE = 2000;

/** Batches that one readiness callback moves before the other direction gets its turn. */
export const BATCHES_PER_TURN = 4;

/** Bytes of packets that are read from the device before they are sent; room for one more is on top. */
export const OUTBOUND_BYTES = 128 * 1024;

/** Packets, super-packets among them, that are read from the device before they are sent. */
export const MAX_OUTBOUND_PACKETS = 128;

/** Datagrams of one sendmmsg; what is more waits for the next. */
export const MAX_DATAGRAMS = 256;

/** Datagrams of one UDP_SEGMENT message: UDP_MAX_SEGMENTS of the kernel (64 up to Linux 6.9). */
export const MAX_TRAIN_DATAGRAMS = 64;

/** Bytes of one UDP_SEGMENT message: the longest UDP payload over IPv4. */
export const MAX_TRAIN_BYTES = 65_507;

/** Messages of one recvmmsg: single datagrams, and trains of them (UDP_GRO) of up to 64 KiB. */
export const INBOUND_MESSAGES = { single: 64, trains: 16 } as const;

/** Received packets that are looked at together before they go to the device. */
export const MAX_INBOUND_PACKETS = 1024;

/** Segments of one super-packet to the device; writev takes 1024 parts at most (UIO_MAXIOV). */
export const MAX_SUPER_SEGMENTS = 128;

/** How often the owner is told at most that a peer's tagged packets come from elsewhere. */
export const ROAMED_EVERY = millis(100);

/** How long the worker may take to start, to answer or to end; generous, for emulated machines. */
export const WORKER_TIMEOUT = millis(30_000);

/** How long a process that exits without closing the plane waits for the worker to let go. */
export const EXIT_WAIT = millis(1000);

/**
 * When to look at the outer path's MTU again after it shrank: the kernel forgets what it learned
 * from ICMP after ten minutes (net.ipv4.route.mtu_expires) and says nothing.
 */
export const MTU_RECHECK = millis(605_000);

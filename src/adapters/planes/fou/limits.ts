import type { PlaneCapabilities } from '../../../ports/data-plane.ts';

/**
 * Peers of one tunnel on this plane. Each has a device of its own, which the kernel and everything
 * that lists devices must bear; the planes with one device take more.
 */
export const MAX_PEERS = 1024;

/** First messages of session 2: in the upper half of all numbers, where the queues of tunnels by `number` are not. */
export function firstQueueOf(queue: number): number {
  return queue ^ 0x8000;
}

/** Other strangers: in the upper quarter. */
export function strangerQueueOf(queue: number): number {
  return queue ^ 0xc000;
}

/** Counters are those of devices, where the kernel has super-packets. */
export const CAPABILITIES: PlaneCapabilities = {
  maxPeers: MAX_PEERS,
  integrity: ['none'],
  counting: 'merged',
  fragments: true,
};

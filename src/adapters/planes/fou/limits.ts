import type { PlaneCapabilities } from '../../../ports/data-plane.ts';

/**
 * Peers of one tunnel on this plane. Each has a device of its own, which the kernel and everything
 * that lists devices must bear; the planes with one device take more.
 */
export const MAX_PEERS = 1024;

export const CAPABILITIES: PlaneCapabilities = { maxPeers: MAX_PEERS, integrity: ['none'] };

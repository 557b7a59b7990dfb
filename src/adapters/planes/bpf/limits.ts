import type { PlaneCapabilities } from '../../../ports/data-plane.ts';

/** Every bound of the bpf plane on one page, but for those of bpf/abi.h and the rates (core/budgets.ts). */

export const CAPABILITIES: PlaneCapabilities = { maxPeers: undefined, integrity: ['none'] };

/** Peers that there is room for without making the maps anew; 170 bytes of kernel memory each, 280 with IPv6. */
export const MIN_CAPACITY = 256;
/** Room beyond the peers that are known when the maps are made. */
export const HEADROOM = 1.25;

/** Control packets handled between turns of the event loop. */
export const PACKETS_PER_TURN = 32;

/** How often a packet is sent again in whose place errors about earlier ones are reported. */
export const SEND_TRIES = 4;

/** Peers that are written to the kernel in one call. */
export const PEERS_AT_ONCE = 1000;

/** Peers whose outer routes are looked up at once; others have their turn between. */
export const LOOKUPS_AT_ONCE = 64;

/** Peers whose outer routes are looked up before `refresh` returns; the others follow. */
export const LOOKUPS_FIRST = 256;

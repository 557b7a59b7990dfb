import { HOST_IS_LITTLE_ENDIAN } from '../../../core/bytes.ts';
import type { PlaneCapabilities } from '../../../ports/data-plane.ts';

/** Every bound of the bpf plane on one page, but for those of bpf/abi.h and the rates (core/budgets.ts). */

/** The programs hash words of packets as they are (bpf/siphash.h). */
export const CAPABILITIES: PlaneCapabilities = {
  maxPeers: undefined,
  integrity: HOST_IS_LITTLE_ENDIAN ? ['none', 'header', 'full'] : ['none'],
  counting: 'exact',
};

/** Peers that there is room for without making the maps anew; 170 bytes of kernel memory each, 280 with IPv6. */
export const MIN_CAPACITY = 256;
/** Room beyond the peers that are known when the maps are made. */
export const HEADROOM = 1.25;

/**
 * Keys of tags to receive under that there is room for, and half as many to send under: at least so many, and for each
 * peer, which is twice what it can need: who has counters under a key cannot move to a larger map, so this is how many
 * peers may come while it runs. Room alone costs 16 bytes; a key to receive under takes 2.2 KB, one to send under 1.7 KB.
 */
export const MIN_TAG_ROOM = 65_536;
export const TAG_ROOM_PER_PEER = 8;

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

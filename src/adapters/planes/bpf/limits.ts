import { millis } from '../../../core/units.ts';
import type { ProgramConfig } from './abi.ts';
import type { Rate } from '../token-bucket.ts';

/** Every bound of the bpf plane on one page, but for those of bpf/abi.h. */

/** Peers that there is room for without making the maps anew; 170 bytes of kernel memory each. */
export const MIN_CAPACITY = 256;
/** Room beyond the peers that are known when the maps are made. */
export const HEADROOM = 1.25;

/**
 * What the programs let up to the socket. The session core has the fine limits; these keep a flood from
 * filling the socket's buffer and a processor. What looks like data has a budget of its own and cannot
 * use up that of authentication; neither can one source, behind which many peers may be, use up that of
 * all.
 */
export const PROGRAM_RATES: ProgramConfig['rates'] = {
  peer: { perSecond: 20, burst: 40 },
  strangerData: { perSecond: 20, burst: 8 },
  strangerSource: { perSecond: 50, burst: 100 },
  strangerAll: { perSecond: 2000, burst: 2000 },
};

/** Control packets handled between turns of the event loop. */
export const PACKETS_PER_TURN = 32;

/** Repairs when something outside keeps changing what is ours; the next one waits its turn. */
export const REPAIR_RATE: Rate = { perSecond: 1, burst: 10 };

/** Changes of links, addresses and routes come in swarms: one look for all within this time. */
export const SETTLE = millis(20);

/** Peers that are written to the kernel in one call. */
export const PEERS_AT_ONCE = 1000;

/** Peers whose outer routes are looked up at once; others have their turn between. */
export const LOOKUPS_AT_ONCE = 64;

/** Peers whose outer routes are looked up before `refresh` returns; the others follow. */
export const LOOKUPS_FIRST = 256;

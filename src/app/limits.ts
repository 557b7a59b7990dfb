import { millis } from '../core/units.ts';

/** The app's limits and waiting times, on one page. */

/** Failed attempts in a row to admit or re-point a peer after which the tunnel gives up. */
export const ADMIT_FAILURES_MAX = 5;

/** Pause after the first failed attempt; doubles with each further one. */
export const ADMIT_BACKOFF_FIRST = millis(1000);
export const ADMIT_BACKOFF_MAX = millis(30_000);

/** So many failures to admit or evict peers are told in words; of the others how many there are. */
export const ADMIT_TROUBLES_TOLD = 8;

/** So many prefixes that other routes of the host have are told in words; of the others how many there are. */
export const PREFIXES_TOLD = 8;

/** Commands that say whether a peer may come in: how long each has, how many run at once, and wait. */
export const VERIFY_LIMIT = millis(5000);
export const VERIFY_AT_ONCE = 4;
export const VERIFY_WAITING = 256;
/** A refusal counts for so long before the command is asked about that peer again. */
export const VERIFY_REFUSED = millis(5000);

/** How often a daemon looks whether its run directory is still there. */
export const RUN_CHECK = millis(5000);

/** Memory that nothing depends on is written at most so long after it was noted. */
export const MEMORY_DELAY = millis(1000);

/** After memory could not be written: so long the disk is not asked again. */
export const MEMORY_PAUSE = millis(1000);

/** Pause before memory that could not be written is tried again, if no peer asks before. */
export const MEMORY_RETRY = millis(10_000);

/** Longest wait for one name to resolve before it counts as unresolved. */
export const RESOLVE_TIMEOUT = millis(15_000);

/** Longest wait for name servers to say whether the network has a translator, and how long what they say counts. */
export const TRANSLATION_TIMEOUT = millis(4000);
export const TRANSLATION_MEMORY = millis(60_000);

/** How long an orderly end waits for work in hand before it goes on without it. */
export const CLOSE_TIMEOUT = millis(5000);

/** Sessions woken in one go before packets that wait have their turn. */
export const WAKE_BATCH = 64;

/** Peers of an earlier run that are looked at in one go at the start, before others have their turn. */
export const START_BATCH = 256;

/** What the network says about packets of ours waits for its turn; beyond so many it is dropped. */
export const OUTER_ERRORS_WAITING = 64;

/** A client of several servers authenticates to all of them within so long, not all at once. */
export const REAUTH_SPREAD = millis(2000);

/** Peers whose failure to send is kept in words; those of others are only logged. */
export const SEND_TROUBLES_MAX = 64;

/** How many peers one request of `peerStatuses` is told of at most. */
export const PEERS_TOLD = 256;

/** The service manager is told at most so often how many peers there are. */
export const STATUS_GAP = millis(1000);

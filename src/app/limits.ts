import { millis } from '../core/units.ts';

/** The app's limits and waiting times, on one page. */

/** Failed attempts in a row to admit or re-point a peer after which the tunnel gives up. */
export const ADMIT_FAILURES_MAX = 5;

/** Pause after the first failed attempt; doubles with each further one. */
export const ADMIT_BACKOFF_FIRST = millis(1000);
export const ADMIT_BACKOFF_MAX = millis(30_000);

/** Pause before memory that could not be written is tried again. */
export const MEMORY_RETRY = millis(10_000);

/** Longest wait for one name to resolve before it counts as unresolved. */
export const RESOLVE_TIMEOUT = millis(15_000);

/** How long an orderly end waits for work in hand before it goes on without it. */
export const CLOSE_TIMEOUT = millis(5000);

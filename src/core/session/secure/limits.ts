/** Every limit and timeout of session 2, with its unit; rates are in core/budgets.ts, those of moves in moves.ts. */
import { millis, seconds } from '../../units.ts';

/** INITs of one peer that have been answered and wait for its proof, and for how long. */
export const OFFERS_MAX = 4;
export const OFFER_LIFE = millis(10_000);
/** A client makes a new session after so long, spread by REKEY_SPREAD to either side. */
export const REKEY_AFTER = seconds(900);
export const REKEY_SPREAD = 0.1;
/**
 * An INIT without an answer is sent again as it is, COPY_GAP apart, the first after twice that, until the next attempt
 * comes a second after it.
 */
export const COPY_GAP = millis(100);
export const COPIES = 8;
/** Packets under one key, either way, after which it makes a new one: half of what the counter of tags can count. */
export const REKEY_PACKETS = 2n ** 31n;
/** An INIT for a new session that is not answered is sent again after so long, doubling, at most REKEY_RETRY_MAX. */
export const REKEY_RETRY = millis(2000);
export const REKEY_RETRY_MAX = millis(60_000);
/** What is under way when keys change counts for so long. */
export const FORMER_LIFE = millis(30_000);
/** Questions without an answer in a row after which a client begins anew. */
export const UNHEARD_MAX = 3;
/** Questions whose answers are waited for. */
export const PINGS_MAX = 16;
/** A source from which packets were sent on is not followed for so long. */
export const SUSPECT_LIFE = millis(10_000);
/** Where data without proof comes from is challenged so often at most. */
export const STRAY_GAP = millis(1000);
/**
 * In `session auto`, until the server has spoken session 2, every other request is an INIT; after so many without an
 * answer one in `alive` while the server is heard, and one in `silent` while nothing is: it may be down.
 */
export const UNANSWERED_MAX = 3;
export const INIT_EVERY = { alive: 16, silent: 4 } as const;
export const VERSION_LOWEST = { auto: 1, v1: 1, v2: 2 } as const;

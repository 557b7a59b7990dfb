/**
 * Every limit and timeout of the session core, with its unit. What the operator sets (keepalive,
 * auth-lifetime, connection-idle, dead-peer-timeout) is in TimerConfig; limits of the packet format
 * and the replay memory stand with them in core/auth, rates in core/budgets.ts.
 */
import { millis, type Millis } from '../units.ts';

/** Peers whose key a packet without a hint is tried on, of those that were never seen using hints. */
export const HINTLESS_TRIALS = 8;
/** The same refusal is logged once in so long, with the number of those between; so is what the plane cannot do. */
export const REFUSAL_LOG_GAP = millis(30_000);
/** A request without a proof is answered once in so long: two servers do not answer each other for ever. */
export const UNPROVED_REPLY_GAP = millis(1000);

// Retries: the first after BACKOFF_FIRST, each further one after twice as long.

export const BACKOFF_FIRST = millis(1000);
export const BACKOFF_MAX = millis(60_000);
/** Waiting times are spread by this fraction to either side. */
export const BACKOFF_JITTER = 0.2;

// What is told of troubles

/** A trouble that stands is told again after these pauses, the last one again and again. */
export const TROUBLE_GAPS: readonly Millis[] = [millis(60_000), millis(600_000), millis(3_600_000)];
/** A client without an answer for so long says so. */
export const NO_ANSWER_AFTER = millis(5000);

// Server

/** A peer that comes back to where it was before, so often in a row, is two with one key. */
export const SHUTTLE_RETURNS = 3;
/** From one move to the next; two clients with a keepalive of 25 s move each other every 12 s. */
export const SHUTTLE_WINDOW = millis(180_000);

// Client

/** Own requests kept to compare replies with. */
export const REQUESTS_MAX = 16;
/** A reply must come so soon after a request. */
export const REPLY_WINDOW = millis(30_000);
/** Requests without an answer after which a server that is heard otherwise is taken for one that never replies. */
export const INITIAL_SENDS = 3;
/** On a path on which nothing was ever heard, requests follow each other so fast: the server may be about to start. */
export const EAGER_PAUSE = millis(2000);
/** So many of them, in about three minutes; without keepalive there are no more. */
export const EAGER_SENDS = 90;
/** Addresses of a server's name that are tried, of both families. */
export const CANDIDATES_MAX = 8;
/** Requests on a path on which nothing is heard, before another address of the server has its turn. */
export const CANDIDATE_SENDS = 3;
/** Refusals of the plane to carry a path in a row, before another address of the server has its turn. */
export const CANDIDATE_ADMITS = 2;
/** The route is looked up again so often without being asked to, in case news of a change got lost. */
export const ROUTE_CHECK = millis(60_000);
/** The same while there is no route. */
export const OFFLINE_CHECK = millis(5000);
/** A `locate` without an answer is asked again. */
export const LOCATE_TIMEOUT = millis(10_000);

/** A client authenticates at once when its server counts as unreachable, but once in so long at most. */
export const UNREACHABLE_GAP = millis(5000);

// Names

/** A `resolve` without an answer is asked again. */
export const RESOLVE_TIMEOUT = millis(30_000);
/** A name is resolved again so often while the other side is silent. */
export const RESOLVE_AGAIN = millis(60_000);

// Counters: read so many times in the time that they decide about, within bounds.

export const POLLS_PER_TIMEOUT = 6;
export const POLL_MIN = millis(1000);
export const POLL_MAX = millis(10_000);
/** Before a remote runs out, its counters are read once more. */
export const POLL_LEAD = millis(1000);

// Server

/** Sources remembered that a peer was admitted at. */
export const KNOWN_MAX = 4;

// Memory

/** Signs of life that come without an authentication packet are written down so often at most. */
export const REMEMBER_GAP = millis(60_000);
/** A failure to admit is news of an `admit` if it comes so soon after it. */
export const ADMIT_ANSWER = millis(10_000);

/** How often to read counters for a timeout of this length. */
export function pollInterval(timeout: Millis): Millis {
  return millis(Math.min(POLL_MAX, Math.max(POLL_MIN, timeout / POLLS_PER_TIMEOUT)));
}

/** The wait before another request on a path on which nothing was ever heard, after so many of them. */
export function eagerPause(attempts: number, spread: number): Millis {
  const late = attempts - EAGER_SENDS;
  if (late >= 0) return backoff(late + 2, spread);
  const plain = attempts <= 1 ? BACKOFF_FIRST : EAGER_PAUSE;
  return jittered(plain, spread);
}

function jittered(plain: number, spread: number): Millis {
  return millis(Math.round(plain * (1 + BACKOFF_JITTER * (2 * spread - 1))));
}

/** The wait before attempt `attempt` + 1; `spread` is 0..1, evenly drawn. Attempts count from 1. */
export function backoff(attempt: number, spread: number): Millis {
  const doublings = Math.min(Math.max(0, attempt - 1), 16);
  const plain = Math.min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** doublings);
  return jittered(plain, spread);
}

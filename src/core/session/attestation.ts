/**
 * Attestation: what the other side says that it has sent, against what has come (docs/PROTOCOL.md).
 *
 * Statement k was made at a time S(k) and has come at T(k). What had come by T(k) was sent by S(k+1), since
 * statements are further apart than a packet is under way; and what came after T(j) was sent after S(j-1). So
 *
 *     received by T(k) - received by T(j)  <=  sent by S(k+1) - sent by S(j-1)         for all j < k
 *
 * whatever was lost, overtaken or is under way; and where that does not hold, somebody else has sent. As differences:
 * received(T(k)) - sent(S(k+1)) is at most every received(T(j)) - sent(S(j-1)), the least of which, of the last
 * statements, is all that must be kept. It sinks as packets are lost, so that a loss hides an injection only for as
 * long as both are within that many statements.
 */
import { millis, type Millis } from '../units.ts';

/** Since any time, the same for all statements. */
export type Total = { readonly packets: number; readonly bytes: number };

export type Statement = Total & { readonly epoch: number };

/** How often each side tells. */
export const ATTEST_EVERY = millis(10_000);
/** One that comes sooner after the one before was held up: it is left out. */
const APART = millis(5000);
/** One whose epoch is further ahead is of a count that was begun anew. */
const EPOCHS_AHEAD = 0x1_0000;
/** The least difference is that of the last 32 to 64 statements. */
const GENERATION = 32;

/**
 * What more may come than was sent, without an alarm: networks deliver a packet twice now and then.
 *
 * `exact`: both sides count packets as they are on the wire. `merged`: some count what the kernel joins or cuts
 * later; then packets cannot be compared, and bytes differ by the headers of what was cut.
 */
const ALLOWED = {
  exact: { packets: 4, bytes: 6000, part: 1 / 1024 },
  merged: { packets: Infinity, bytes: 6000, part: 1 / 12 },
} as const;

export type Counting = keyof typeof ALLOWED;

/** What is kept of one who sends. Plain data. */
export type Ledger = {
  /** The first statement, and the last. */
  readonly begin: Mark;
  readonly last: Mark;
  readonly current: Generation;
  readonly before: Generation | undefined;
};

type Mark = { readonly sent: Statement; readonly received: Total; readonly at: Millis };

/** The least difference of some statements, how many, and what had been sent before. */
type Generation = { readonly floor: Total; readonly count: number; readonly since: Total };

export type Judgement = {
  readonly ledger: Ledger;
  /** What came beyond what was sent and is allowed; told once. */
  readonly injected?: Total;
  /** Of what was sent since the first statement: less what came, at least 0. */
  readonly lost?: Total;
};

const NO_FLOOR: Total = { packets: Infinity, bytes: Infinity };

/**
 * A statement that has come, and what had come of the peer's packets then. Statements are to be given in the order in
 * which they were made (a CONTROL that was overtaken by another has none), also those of later sessions.
 */
export function judgeStatement(
  ledger: Ledger | undefined,
  sent: Statement,
  received: Total,
  { now, counting }: { readonly now: Millis; readonly counting: Counting },
): Judgement {
  const mark: Mark = { sent, received, at: now };
  if (!ledger || isAnew(ledger.last, mark)) {
    return { ledger: { begin: mark, last: mark, ...fresh(NO_FLOOR, sent) } };
  }
  const { begin, last, current, before } = ledger;
  if (now - last.at < APART) return { ledger };
  const lost = atLeastNone(minus(minus(sent, begin.sent), minus(received, begin.received)));
  const least = before ? leastOf(current.floor, before.floor) : current.floor;
  const over = minus(minus(last.received, sent), least);
  const allowed = allowedOf(counting, minus(sent, (before ?? current).since));
  const injected = over.packets > allowed.packets || over.bytes > allowed.bytes;
  const floor = minus(received, last.sent);
  const generations = injected ? fresh(floor, last.sent) : withFloor(ledger, floor);
  return {
    ledger: { begin, last: mark, ...generations },
    lost,
    ...(injected && { injected: atLeastNone(over) }),
  };
}

/** Whether either side has begun to count anew: its counters went back, or the epochs do not follow. */
function isAnew(last: Mark, { sent, received }: Mark): boolean {
  const ahead = (sent.epoch - last.sent.epoch) >>> 0;
  if (ahead === 0 || ahead >= EPOCHS_AHEAD) return true;
  return isLess(sent, last.sent) || isLess(received, last.received);
}

type Generations = Pick<Ledger, 'current' | 'before'>;

function fresh(floor: Total, since: Total): Generations {
  return { current: { floor, count: 1, since }, before: undefined };
}

function withFloor({ current, before, last }: Ledger, floor: Total): Generations {
  if (current.count === GENERATION) return { ...fresh(floor, last.sent), before: current };
  const least = leastOf(current.floor, floor);
  return { current: { ...current, floor: least, count: current.count + 1 }, before };
}

function allowedOf(counting: Counting, sent: Total): Total {
  const { packets, bytes, part } = ALLOWED[counting];
  return { packets: packets + sent.packets * part, bytes: bytes + sent.bytes * part };
}

function minus(a: Total, b: Total): Total {
  return { packets: a.packets - b.packets, bytes: a.bytes - b.bytes };
}

function leastOf(a: Total, b: Total): Total {
  return { packets: Math.min(a.packets, b.packets), bytes: Math.min(a.bytes, b.bytes) };
}

function atLeastNone({ packets, bytes }: Total): Total {
  return { packets: Math.max(0, packets), bytes: Math.max(0, bytes) };
}

function isLess(a: Total, b: Total): boolean {
  return a.packets < b.packets || a.bytes < b.bytes;
}

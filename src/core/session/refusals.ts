/** The book of refused packets: counts by reason, and news of them that no flood can fill a log with. */
import type { Path } from '../addr.ts';
import type { Refusal, Refused } from '../auth/refusal.ts';
import type { EventOf } from '../events/event.ts';
import type { Millis } from '../units.ts';
import { REFUSAL_LOG_GAP } from './limits.ts';

/** Refusals so far, and when each was last told, and how often it came since. */
export type Refusals = {
  readonly counts: Readonly<Partial<Record<Refusal, number>>>;
  readonly log: Readonly<Partial<Record<Refusal, { readonly at: Millis; readonly since: number }>>>;
};

/** Shared by all that have refused nothing. */
export const NO_REFUSALS: Refusals = Object.freeze({
  counts: Object.freeze({}),
  log: Object.freeze({}),
});

/**
 * Counts a refusal; the event is there unless the same was told a moment ago. `allowed`: seconds that
 * clocks may differ by.
 */
export function countRefusal(
  { counts, log }: Refusals,
  refusal: Refused,
  at: { readonly path: Path; readonly now: Millis; readonly allowed: number },
): { readonly refusals: Refusals; readonly event: EventOf<'refused'> | undefined } {
  const { reason } = refusal;
  const last = log[reason];
  const due = last === undefined || at.now - last.at >= REFUSAL_LOG_GAP;
  const refusals = {
    counts: { ...counts, [reason]: (counts[reason] ?? 0) + 1 },
    log: {
      ...log,
      [reason]: due ? { at: at.now, since: 0 } : { at: last.at, since: last.since + 1 },
    },
  };
  if (!due) return { refusals, event: undefined };
  const { allowed, path } = at;
  const from = path.remote;
  return {
    refusals,
    event: { kind: 'refused', refusal, from, allowed, unlogged: last?.since },
  };
}

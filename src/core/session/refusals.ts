/** The book of refused packets: counts by reason, and a log that no flood can fill. */
import { formatEndpoint, type Path } from '../addr.ts';
import type { Notice, Refusal, Refused } from '../auth/refusal.ts';
import type { Millis } from '../units.ts';
import { REFUSAL_LOG_GAP } from './limits.ts';
import type { Refusals } from './state.ts';
import type { SessionEffect } from './types.ts';

type LogEffect = Extract<SessionEffect, { readonly kind: 'log' }>;

/** What junk any stranger can send; the rest needs knowledge or is a sign of trouble. */
const QUIET: ReadonlySet<Refusal> = new Set([
  'wrong-source',
  'not-authentication',
  'length',
  'rate-limited',
  'unsolicited',
]);

/**
 * Counts a refusal; the log line is there unless the same was logged a moment ago. `allowed`: seconds
 * that clocks may differ by.
 */
export function countRefusal(
  { counts, log }: Refusals,
  verdict: Refused,
  at: { readonly path: Path; readonly now: Millis; readonly allowed: number },
): { readonly refusals: Refusals; readonly effect: LogEffect | undefined } {
  const { reason } = verdict;
  const last = log[reason];
  const due = last === undefined || at.now - last.at >= REFUSAL_LOG_GAP;
  const refusals = {
    counts: { ...counts, [reason]: (counts[reason] ?? 0) + 1 },
    log: {
      ...log,
      [reason]: due ? { at: at.now, since: 0 } : { at: last.at, since: last.since + 1 },
    },
  };
  if (!due) return { refusals, effect: undefined };
  const fields = { reason, from: formatEndpoint(at.path.remote), unlogged: last?.since };
  const level = QUIET.has(reason) ? 'debug' : 'warn';
  return { refusals, effect: { kind: 'log', level, event: explain(verdict, at.allowed), fields } };
}

function explain(verdict: Refused, allowed: number): string {
  switch (verdict.reason) {
    case 'clock': {
      const side = verdict.difference > 0 ? 'ahead' : 'behind';
      return (
        `clocks differ by ${Math.abs(verdict.difference)} s, allowed ${allowed}: ` +
        `the other side's is ${side}; set the wrong one, or allow more with auth-max-time-discrepancy`
      );
    }
    case 'stale':
      return `packet is ${-verdict.difference} s older than the newest accepted one: replayed, or that side's clock was set back`;
    case 'bound-elsewhere':
      return 'packet refused: it was made for a server with another key than auth-key-b64 here';
    case 'unverifiable':
      return 'signed packet cannot be checked: auth-remote-pubkey-b64 is not set here';
    case 'signature':
      return 'wrong signature: the keys are no pair, or auth-secret differs';
    case 'unknown-peer':
      return 'packet refused: no peer of this tunnel has this key, token or address';
    case 'unresolved':
      return 'packet refused: the name in fou-remote-ip has no address yet';
    default:
      return `packet refused: ${verdict.reason}`;
  }
}

/** The server's word that it refuses us, in ours. */
export function explainNotice({ reason, seconds }: Notice): string {
  const by = `${Math.abs(seconds)} s`;
  switch (reason) {
    case 'clock':
      return `the server refuses us: the clock here is ${by} ${seconds > 0 ? 'ahead of' : 'behind'} its own`;
    case 'stale':
      return `the server refuses us: it has taken a packet from here whose time is ${by} later; the clock here was set back`;
    case 'taken-over':
      return `the server refuses us: another client has the same key, or the clock here was set back by ${by}`;
    default:
      return 'the server refuses us for a reason that this version does not know';
  }
}

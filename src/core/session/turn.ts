/**
 * One step in the making: the state so far and the effects so far. It lives inside a single call of
 * `step`; the states that go in and come out are never changed.
 */
import { formatEndpoint, type Path } from '../addr.ts';
import type { Refusal, Refused } from '../auth/refusal.ts';
import { packetTime } from '../auth/replay.ts';
import { packetSeconds, type Scheme } from '../auth/schemes.ts';
import { millis, type Instant, type Millis, type Seconds } from '../units.ts';
import { REFUSAL_LOG_GAP, RESOLVE_TIMEOUT } from './limits.ts';
import type { SessionState } from './state.ts';
import type { SessionConfig, SessionCrypto, SessionEffect, SessionMemory } from './types.ts';

export type Turn<State extends SessionState> = {
  readonly config: SessionConfig;
  readonly crypto: SessionCrypto;
  readonly scheme: Scheme;
  readonly now: Instant;
  state: State;
  readonly effects: SessionEffect[];
};

type Log = Extract<SessionEffect, { readonly kind: 'log' }>;

export function log<State extends SessionState>(
  turn: Turn<State>,
  level: Log['level'],
  event: string,
  fields: Log['fields'] = {},
): void {
  turn.effects.push({ kind: 'log', level, event, fields });
}

/** An even draw from 0 up to 1. */
export function drawSpread<State extends SessionState>(turn: Turn<State>): number {
  return (turn.crypto.random(1)[0] ?? 0) / 256;
}

/** The time to sign a packet with now; see packetTime. */
export function stampTime<State extends SessionState>(turn: Turn<State>): Seconds {
  const time = packetTime(packetSeconds(turn.now.unix), turn.state.lastPacketTime);
  turn.state = { ...turn.state, lastPacketTime: time };
  return time;
}

/** `duration` from now on the monotonic clock. */
export function after<State extends SessionState>(turn: Turn<State>, duration: Millis): Millis {
  return millis(turn.now.monotonic + duration);
}

/** Whether a timer has come. */
export function isDue<State extends SessionState>(
  turn: Turn<State>,
  at: Millis | undefined,
): boolean {
  return at !== undefined && at <= turn.now.monotonic;
}

/** The least of the timers that are set. */
export function earliest(timers: readonly (Millis | undefined)[]): Millis | undefined {
  const set = timers.filter((at) => at !== undefined);
  return set.length === 0 ? undefined : millis(Math.min(...set));
}

/** Asks for the name's addresses; asked again by timer when no answer comes. */
export function resolveName<State extends SessionState>(turn: Turn<State>, host: string): void {
  turn.state = { ...turn.state, resolveAt: after(turn, RESOLVE_TIMEOUT) };
  turn.effects.push({ kind: 'resolve', host });
}

/**
 * Memory of an earlier run that still counts: one of another peer (the configured proof was changed)
 * does not.
 */
export function recall<State extends SessionState>(
  turn: Turn<State>,
  memory: SessionMemory | undefined,
): SessionMemory | undefined {
  if (memory?.peer === undefined || memory.peer === turn.scheme.mark()) return memory;
  log(
    turn,
    'warn',
    'the configured proof has changed: what was remembered of the peer is forgotten',
  );
  return { remote: undefined, replay: undefined, peer: turn.scheme.mark() };
}

/** What junk any stranger can send; the rest needs knowledge or is a sign of trouble. */
const QUIET: ReadonlySet<Refusal> = new Set([
  'wrong-source',
  'not-authentication',
  'length',
  'rate-limited',
  'unsolicited',
]);

/** Counts a refusal, and logs it unless the same was logged a moment ago. */
export function refuse<State extends SessionState>(
  turn: Turn<State>,
  path: Path,
  verdict: Refused,
): void {
  const { reason } = verdict;
  const { refused, refusalLog } = turn.state;
  const last = refusalLog[reason];
  const due = last === undefined || turn.now.monotonic - last.at >= REFUSAL_LOG_GAP;
  turn.state = {
    ...turn.state,
    refused: { ...refused, [reason]: (refused[reason] ?? 0) + 1 },
    refusalLog: {
      ...refusalLog,
      [reason]: due ? { at: turn.now.monotonic, since: 0 } : { at: last.at, since: last.since + 1 },
    },
  };
  if (!due) return;
  log(turn, QUIET.has(reason) ? 'debug' : 'warn', explainRefusal(turn, verdict), {
    reason,
    from: formatEndpoint(path.remote),
    unlogged: last?.since,
  });
}

function explainRefusal<State extends SessionState>(turn: Turn<State>, verdict: Refused): string {
  switch (verdict.reason) {
    case 'clock': {
      const { proof } = turn.config.auth;
      const allowed = proof.kind === 'ed25519' ? proof.maxTimeDiscrepancy : 0;
      const side = verdict.difference > 0 ? 'ahead' : 'behind';
      return (
        `clocks differ by ${Math.abs(verdict.difference)} s, allowed ${allowed}: ` +
        `the other side's is ${side}; set the wrong one, or allow more with auth-max-time-discrepancy`
      );
    }
    case 'stale':
      return `packet is ${-verdict.difference} s older than the newest accepted one: replayed, or that side's clock was set back`;
    case 'unverifiable':
      return 'signed packet cannot be checked: auth-remote-pubkey-b64 is not set here';
    case 'signature':
      return 'wrong signature: the keys are no pair, or auth-secret differs';
    case 'unresolved':
      return 'packet refused: the name in fou-remote-ip has no address yet';
    default:
      return `packet refused: ${verdict.reason}`;
  }
}

/**
 * One step in the making: the state so far and the effects so far. It lives inside a single call of
 * `step`; the states that go in and come out are never changed.
 */
import type { Path } from '../addr.ts';
import type { Refusal, Refused } from '../auth/refusal.ts';
import { packetTime } from '../auth/replay.ts';
import { packetSeconds, type Scheme } from '../auth/schemes.ts';
import type { SessionTold } from '../events/event.ts';
import { millis, type Instant, type Millis, type Seconds } from '../units.ts';
import { RESOLVE_TIMEOUT } from './limits.ts';
import { countRefusal } from './refusals.ts';
import type { SessionState } from './state.ts';
import type {
  Indexes,
  ProofBudget,
  SessionConfig,
  SessionCrypto,
  SessionEffect,
  SessionEvent,
  SessionMemory,
} from './types.ts';

export type Turn<State extends SessionState> = {
  readonly config: SessionConfig;
  readonly crypto: SessionCrypto;
  readonly gate: ProofBudget;
  /** Draws the index of a session. */
  readonly indexes: Indexes;
  readonly scheme: Scheme;
  readonly now: Instant;
  state: State;
  readonly effects: SessionEffect[];
  /** A refusal is neither counted nor told. */
  readonly tentative: boolean;
  refusal: Refusal | undefined;
};

export type PacketEvent = Extract<SessionEvent, { readonly kind: 'packet' }>;

/** Tells what has happened. */
export function tell<State extends SessionState>(turn: Turn<State>, event: SessionTold): void {
  turn.effects.push({ kind: 'event', event });
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

/** Why a name gave no address that can be used. */
export function unresolvedBy(
  host: string,
  { error, unusable }: Extract<SessionEvent, { readonly kind: 'resolved' }>,
): SessionState['unresolved'] {
  return unusable
    ? { kind: 'unusable-address', host, ...unusable }
    : { kind: 'unresolved', host, error };
}

/** Asks for the name's addresses; asked again by timer when no answer comes. */
export function resolveName<State extends SessionState>(turn: Turn<State>, host: string): void {
  turn.state = { ...turn.state, resolveAt: after(turn, RESOLVE_TIMEOUT) };
  turn.effects.push({ kind: 'resolve', host });
}

/**
 * Memory of an earlier run that still counts: who was admitted by another proof than the configured
 * one, or by none that is named, does not; what protects from replays does, since it is the key's.
 */
export function recall<State extends SessionState>(
  turn: Turn<State>,
  memory: SessionMemory | undefined,
): SessionMemory | undefined {
  if (memory === undefined || memory.peer === turn.scheme.mark()) return memory;
  if (memory.peer === undefined) return { ...memory, remote: undefined };
  tell(turn, { kind: 'proof-changed' });
  return { ...memory, remote: undefined, peer: turn.scheme.mark() };
}

/** Counts a refusal, and tells it unless the same was told a moment ago. */
export function refuse<State extends SessionState>(
  turn: Turn<State>,
  path: Path,
  verdict: Refused,
): void {
  turn.refusal = verdict.reason;
  if (turn.tentative) return;
  const { proof } = turn.config;
  const allowed = proof.kind === 'ed25519' ? proof.maxTimeDiscrepancy : 0;
  const { refusals, event } = countRefusal(turn.state.refusals, verdict, {
    path,
    now: turn.now.monotonic,
    allowed,
  });
  turn.state = { ...turn.state, refusals };
  if (event) tell(turn, event);
}

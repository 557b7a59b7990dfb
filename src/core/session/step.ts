/**
 * The session core: a pure function of state, event and time. The same inputs give the same state
 * and effects, wherever the randomness and the keys in `crypto` and the answers of the `gate` that it
 * shares with other sessions come from. Server and client are two machines with one door.
 */
import { schemeOf } from '../auth/schemes.ts';
import type { Path } from '../addr.ts';
import type { Instant } from '../units.ts';
import {
  advanceClient,
  clientPhase,
  clientStatus,
  clientWakeAt,
  createClient,
  runClientTimers,
} from './client.ts';
import {
  advanceServer,
  serverPhase,
  createServer,
  runServerTimers,
  serverStatus,
  serverWakeAt,
} from './server.ts';
import type { SessionState } from './state.ts';
import type { Turn } from './turn.ts';
import { memoryOf } from './server-remote.ts';
import type {
  Indexes,
  ProofBudget,
  SessionConfig,
  SessionCrypto,
  SessionEvent,
  SessionMemory,
  SessionStatus,
  StepResult,
} from './types.ts';

export type { SessionState };

/** The state before the `start` event; any other event that comes first is ignored. */
export function createSession(config: SessionConfig, now: Instant): SessionState {
  return config.role === 'server' ? createServer(now) : createClient();
}

/**
 * Advances a session by one event. Whatever is due is done with every event, not only with `wake`,
 * so a late or a spurious wake-up does no harm.
 */
export function step(
  config: SessionConfig,
  tools: SessionTools,
  state: SessionState,
  event: SessionEvent,
  now: Instant,
): StepResult<SessionState> {
  if (!state.started && event.kind !== 'start') {
    return { state, effects: [], wakeAt: undefined, refusal: undefined };
  }
  if (state.role === 'server') {
    const turn = openTurn(config, tools, state, event, now);
    advanceServer(turn, event);
    runServerTimers(turn);
    return close(turn, serverWakeAt(config, turn.state));
  }
  const turn = openTurn(config, tools, state, event, now);
  advanceClient(turn, event);
  runClientTimers(turn);
  return close(turn, clientWakeAt(config, turn.state));
}

/** What a session is handed to work with. */
export type SessionTools = {
  readonly crypto: SessionCrypto;
  readonly gate: ProofBudget;
  readonly indexes: Indexes;
};

function openTurn<State extends SessionState>(
  config: SessionConfig,
  { crypto, gate, indexes }: SessionTools,
  state: State,
  event: SessionEvent,
  now: Instant,
): Turn<State> {
  return {
    config,
    crypto,
    gate,
    indexes,
    scheme: schemeOf(config.proof),
    now,
    state: state.started ? state : { ...state, started: true },
    effects: [],
    tentative: event.kind === 'packet' && event.tentative === true,
    refusal: undefined,
  };
}

function close<State extends SessionState>(
  { state, effects, refusal }: Turn<State>,
  wakeAt: StepResult<State>['wakeAt'],
): StepResult<State> {
  return { state, effects, wakeAt, refusal };
}

/** The path that the peer's packets come on as far as its session has admitted it. */
export function sessionPath(state: SessionState): Path | undefined {
  return state.role === 'server' ? state.remote?.path : state.admitted;
}

/** What a session is about. */
export function sessionPhase(state: SessionState): SessionStatus['phase'] {
  return state.role === 'server' ? serverPhase(state) : clientPhase(state);
}

/** What a session would have written down now, to go on from in another one. */
export function sessionMemory(config: SessionConfig, state: SessionState): SessionMemory {
  const peer = schemeOf(config.proof).mark();
  return state.role === 'server'
    ? memoryOf(state, peer)
    : {
        remote: undefined,
        replay: state.replay,
        peer,
        ...(state.secured && { secured: true }),
      };
}

/** What `show` prints. */
export function sessionStatus(
  config: SessionConfig,
  state: SessionState,
  now: Instant,
): SessionStatus {
  return state.role === 'server'
    ? serverStatus(config, state, now)
    : clientStatus(config, state, now);
}

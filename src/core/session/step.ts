/**
 * The session core: a pure function of state, event and time. The same inputs give the same state
 * and effects, wherever the randomness and the keys in `crypto` come from. Server and client are
 * two machines with one door.
 */
import { schemeOf } from '../auth/schemes.ts';
import type { Instant } from '../units.ts';
import {
  advanceClient,
  clientStatus,
  clientWakeAt,
  createClient,
  runClientTimers,
} from './client.ts';
import {
  advanceServer,
  createServer,
  runServerTimers,
  serverStatus,
  serverWakeAt,
} from './server.ts';
import type { SessionState } from './state.ts';
import type { Turn } from './turn.ts';
import type {
  SessionConfig,
  SessionCrypto,
  SessionEvent,
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
  crypto: SessionCrypto,
  state: SessionState,
  event: SessionEvent,
  now: Instant,
): StepResult<SessionState> {
  if (!state.started && event.kind !== 'start') return { state, effects: [], wakeAt: undefined };
  if (state.role === 'server') {
    const turn = openTurn(config, crypto, state, now);
    advanceServer(turn, event);
    runServerTimers(turn);
    return { state: turn.state, effects: turn.effects, wakeAt: serverWakeAt(config, turn.state) };
  }
  const turn = openTurn(config, crypto, state, now);
  advanceClient(turn, event);
  runClientTimers(turn);
  return { state: turn.state, effects: turn.effects, wakeAt: clientWakeAt(config, turn.state) };
}

function openTurn<State extends SessionState>(
  config: SessionConfig,
  crypto: SessionCrypto,
  state: State,
  now: Instant,
): Turn<State> {
  const started: State = state.started ? state : { ...state, started: true };
  return { config, crypto, scheme: schemeOf(config.auth.proof), now, state: started, effects: [] };
}

/** What `show` prints. */
export function sessionStatus(
  config: SessionConfig,
  state: SessionState,
  now: Instant,
): SessionStatus {
  return state.role === 'server' ? serverStatus(config, state, now) : clientStatus(state);
}

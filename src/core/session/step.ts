import type { Instant } from '../units.ts';
import type {
  SessionConfig,
  SessionCrypto,
  SessionEvent,
  SessionStatus,
  StepResult,
} from './types.ts';

/** Opaque to callers. */
export type SessionState = { readonly role: 'server' | 'client' };

/** The state before the `start` event. */
export function createSession(config: SessionConfig, _now: Instant): SessionState {
  return { role: config.role };
}

/** Advances a session by one event. Due timers are run with every event, not only with `wake`. */
export function step(
  _config: SessionConfig,
  _crypto: SessionCrypto,
  state: SessionState,
  _event: SessionEvent,
  _now: Instant,
): StepResult<SessionState> {
  return { state, effects: [], wakeAt: undefined };
}

/** What `show` prints. */
export function sessionStatus(
  _config: SessionConfig,
  _state: SessionState,
  _now: Instant,
): SessionStatus {
  return {
    phase: 'listening',
    path: undefined,
    authenticatedAt: undefined,
    lastHeardAt: undefined,
    rememberedUntil: undefined,
    refused: {},
    authPacketsSent: 0,
    repliesVerified: 0,
  };
}

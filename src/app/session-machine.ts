import type { PeerConfig, TunnelConfig } from '../core/config/tunnel-config.ts';
import { Gate } from '../core/session/gate.ts';
import { createSession, sessionStatus, step } from '../core/session/step.ts';
import type { SessionConfig, SessionCrypto } from '../core/session/types.ts';
import type { Instant } from '../core/units.ts';
import type { SessionMachine } from './driver.ts';

/** The part of a tunnel's config that its session decides by. */
export function sessionConfig(config: TunnelConfig, peer: PeerConfig): SessionConfig {
  return {
    role: config.role,
    auth: peer.auth,
    timers: peer.timers,
    localPort: config.outer.localPort,
    remoteHost: peer.remoteHost,
    remotePort: peer.remotePort,
  };
}

/** The session core as a thing that keeps its state. */
export function createSessionMachine(
  config: SessionConfig,
  crypto: SessionCrypto,
  now: Instant,
): SessionMachine {
  const gate = new Gate();
  let state = createSession(config, now);
  return {
    step(event, at) {
      const result = step(config, { crypto, gate }, state, event, at);
      state = result.state;
      return result;
    },
    status: (at) => sessionStatus(config, state, at),
  };
}

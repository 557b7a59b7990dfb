/** What a server says under a session of version 2. */
import type { Path } from '../../addr.ts';
import { PACKET_LENGTH } from '../../handshake/layout.ts';
import type { ControlMessage } from '../../handshake/messages.ts';
import { resetTokenOf } from '../../handshake/reset.ts';
import type { ServerTurn } from '../server-remote.ts';
import { say, secureOf } from './agreed.ts';
import type { ServerSecure } from './state.ts';

export function change(turn: ServerTurn, secure: Partial<ServerSecure>): void {
  turn.state = { ...turn.state, secure: { ...turn.state.secure, ...secure } };
}

/** Sends messages under the current session. */
export function speak(
  turn: ServerTurn,
  path: Path,
  messages: readonly ControlMessage[],
  length?: number,
): void {
  const packet = say(turn, messages, length);
  if (packet) send(turn, path, packet);
}

export function send(turn: ServerTurn, path: Path, payload: Uint8Array): void {
  const ttl = turn.config.auth.packetTtl;
  const probe = payload.length > PACKET_LENGTH.init;
  turn.effects.push({
    ...{ kind: 'send', purpose: 'reply', path, payload, ttl },
    ...(probe && { probe }),
  });
}

/** Says where the peer is seen. */
export function tellObserved(turn: ServerTurn, path: Path): void {
  speak(turn, path, observed(turn, path));
}

/** Where the peer is seen, as a message. */
export function observed(turn: ServerTurn, path: Path): readonly ControlMessage[] {
  const secure = secureOf(turn);
  const { current } = turn.state.secure;
  if (secure === undefined || current === undefined) return [];
  const { receiveIndex } = current.control;
  const resetToken = resetTokenOf(secure.serverKeys(), receiveIndex, path.remote);
  return [{ kind: 'observed', source: path.remote, resetToken }];
}

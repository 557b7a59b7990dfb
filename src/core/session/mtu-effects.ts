/** What both roles do about the size of the path. Rules in path-mtu.ts. */
import { pathLimit, pathMtuWakeAt, takeTooBig } from './path-mtu.ts';
import type { PathMtu } from './path-mtu-search.ts';
import type { SessionState } from './state.ts';
import { isDue, tell, type Turn } from './turn.ts';

/** Takes what ICMP says in: the largest inner packet that the next hop takes, where it was told. */
export function heedTooBig<State extends SessionState>(
  turn: Turn<State>,
  mtu: number | undefined,
): void {
  const { pathMtu } = turn.state;
  turn.state = {
    ...turn.state,
    tooBig: turn.state.tooBig + 1,
    pathMtu: takeTooBig(pathMtu, mtu, turn.now.monotonic),
  };
}

/** Whether something of the path's size is to be done now. */
export function pathMtuIsDue<State extends SessionState>(turn: Turn<State>): boolean {
  return isDue(turn, pathMtuWakeAt(turn.state.pathMtu));
}

export function setPathMtu<State extends SessionState>(turn: Turn<State>, pathMtu: PathMtu): void {
  turn.state = { ...turn.state, pathMtu };
}

/** Tells the plane, when the limit has changed. */
export function applyLimit<State extends SessionState>(turn: Turn<State>): void {
  const mtu = pathLimit(turn.state.pathMtu);
  if (mtu === turn.state.mtuLimit) return;
  turn.state = { ...turn.state, mtuLimit: mtu };
  turn.effects.push({ kind: 'limit-mtu', mtu });
  tell(turn, { kind: 'path-mtu', role: turn.config.role, mtu });
}

/**
 * A server's peer that moves. One that goes to and fro between two places is most likely two clients
 * with one key: each takes the tunnel from the other whenever it authenticates, and neither is told. But
 * where nothing is answered it may be one that tries its families by turns (client-ways.ts).
 */
import { familyOf, samePath, type Path } from '../addr.ts';
import type { TroubleOf } from '../events/trouble.ts';
import type { Instant } from '../units.ts';
import { SHUTTLE_RETURNS, SHUTTLE_WINDOW } from './limits.ts';
import type { ServerState } from './state.ts';
import { tell, type Turn } from './turn.ts';

/** Notes that a peer has proved itself on `path` and had been on `before`. */
export function noteMove(turn: Turn<ServerState>, before: Path, path: Path): void {
  const { shuttle } = turn.state;
  const tries = familyOf(before.remote.ip) !== familyOf(path.remote.ip);
  const counts = turn.config.auth.replyOnAuthOk || !tries;
  const at = turn.now.monotonic;
  const back =
    counts && shuttle && samePath(shuttle.other, path) && at - shuttle.at <= SHUTTLE_WINDOW;
  const returns = back === true ? shuttle.returns + 1 : 0;
  turn.state = { ...turn.state, shuttle: { other: before, returns, at } };
  const again = returns >= SHUTTLE_RETURNS;
  tell(turn, { kind: 'moved', remote: path.remote, before: before.remote, again });
}

/** Two clients with one key, as far as one can tell now. */
export function sharedKey(
  { remote, shuttle }: ServerState,
  now: Instant,
): TroubleOf<'shared-key'> | undefined {
  if (remote === undefined || shuttle === undefined || shuttle.returns < SHUTTLE_RETURNS) {
    return undefined;
  }
  if (now.monotonic - shuttle.at > SHUTTLE_WINDOW) return undefined;
  return { kind: 'shared-key', remote: remote.path.remote, other: shuttle.other.remote };
}

/** The path that a client is on: taken into use, admitted, lost to another peer. Rules in client.ts. */
import { familyOf, parseOuterIp, samePath, type Path } from '../addr.ts';
import { toMillis, type Millis } from '../units.ts';
import { authenticate } from './client-auth.ts';
import { currentPath } from './current-path.ts';
import { trafficPoll } from './client-mtu.ts';
import { backoff, pollInterval, RESOLVE_AGAIN } from './limits.ts';
import { noteMoved } from './secure/client-requests.ts';
import { attestAnew } from './secure/attest.ts';
import { endTagged, tagsOf } from './secure/tags.ts';
import type { ClientState } from './state.ts';
import { after, drawSpread, earliest, tell, type Turn } from './turn.ts';
import type { SessionConfig } from './types.ts';

type ClientTurn = Turn<ClientState>;

/** Takes a new or regained path into use. */
export function connect(turn: ClientTurn): void {
  turn.state = {
    ...turn.state,
    life: 'new',
    askedHere: 0,
    awaiting: false,
    silentSince: undefined,
    heard: undefined,
    undelivered: undefined,
    counts: undefined,
    admitFailures: 0,
    resolveAt: turn.state.resolveAt ?? lookUpAt(turn),
    // At once, to have something to compare with.
    pollAt: pollGap(turn.config) === undefined ? undefined : turn.now.monotonic,
  };
  noteMoved(turn);
  admit(turn);
  authenticate(turn);
}

/** When to look the server's name up again, if nothing is heard of it until then. */
function lookUpAt(turn: ClientTurn): Millis | undefined {
  const { remoteHost } = turn.config;
  const named = remoteHost !== undefined && parseOuterIp(remoteHost) === undefined;
  return named ? after(turn, RESOLVE_AGAIN) : undefined;
}

/** There is no path: nothing is sent, and nothing is missed. */
export function disconnect(turn: ClientTurn): void {
  turn.state = {
    ...turn.state,
    authAt: undefined,
    pollAt: undefined,
    silentSince: undefined,
    awaiting: false,
    unanswered: undefined,
  };
}

/** Has the plane carry the current path, if it does not. */
export function admit(turn: ClientTurn): void {
  const path = currentPath(turn);
  const { admitted } = turn.state;
  turn.state = { ...turn.state, admitAt: undefined };
  if (path === undefined || (admitted && samePath(admitted, path))) return;
  // A plane may carry another family by another device.
  if (admitted && familyOf(admitted.remote.ip) !== familyOf(path.remote.ip)) attestAnew(turn);
  turn.state = { ...turn.state, admitted: path };
  const tags = tagsOf(turn);
  turn.effects.push({ kind: 'admit', path, ...(tags && { tags }) });
}

export function retryAdmit(turn: ClientTurn, path: Path): void {
  const { admitted } = turn.state;
  if (admitted === undefined || !samePath(admitted, path)) return;
  const admitFailures = turn.state.admitFailures + 1;
  const wait = backoff(admitFailures, drawSpread(turn));
  turn.state = { ...turn.state, admitted: undefined, admitFailures, admitAt: after(turn, wait) };
  const { remote } = path;
  tell(turn, { kind: 'not-admitted', role: 'client', remote, attempt: admitFailures });
}

/** Another peer of this tunnel took the same path: two that are configured to one server and port. */
export function yieldPath(turn: ClientTurn, path: Path): void {
  const { admitted } = turn.state;
  if (admitted === undefined || !samePath(admitted, path)) return;
  turn.state = { ...turn.state, admitted: undefined, admitAt: undefined };
  turn.effects.push({ kind: 'evict' });
  attestAnew(turn);
  endTagged(turn);
  tell(turn, { kind: 'displaced', role: 'client', remote: path.remote });
}

/** How often to read the counters; undefined = nobody wants to know. */
export function pollGap(config: SessionConfig): Millis | undefined {
  const timeout = toMillis(config.timers.deadPeerTimeout);
  return earliest([timeout > 0 ? pollInterval(timeout) : undefined, trafficPoll(config)]);
}

/** Takes in a peer that has proved itself on a path, by whatever version of the protocol. Rules in server.ts. */
import { samePath, type Path } from '../addr.ts';
import { noteMove } from './server-moves.ts';
import {
  admit,
  backEvent,
  follow,
  pointAgain,
  remember,
  type ServerTurn,
} from './server-remote.ts';
import { setPathMtu } from './mtu-effects.ts';
import { takeRequest } from './path-mtu.ts';
import type { Remote } from './state.ts';
import { tell } from './turn.ts';

export type Acceptance = {
  /** The plane is to carry it with other tags. */
  readonly rekeyed?: boolean;
  /** Nothing depends on what is written down of it. */
  readonly lazily?: boolean;
};

export function accept(
  turn: ServerTurn,
  path: Path,
  { rekeyed = false, lazily = false }: Acceptance,
): void {
  const { now } = turn;
  const { remote: earlier, retry } = turn.state;
  turn.state = {
    ...turn.state,
    retry: undefined,
    requestsAccepted: turn.state.requestsAccepted + 1,
  };
  const remote: Remote = { path, authenticated: now, heard: now, expired: false };
  if (earlier && samePath(earlier.path, path)) {
    follow(turn, remote, turn.state.counts);
    remember(turn, lazily ? 'lazily' : 'durably');
    if (rekeyed) pointAgain(turn, path);
    tell(
      turn,
      earlier.expired ? backEvent(turn, earlier) : { kind: 'refreshed', remote: path.remote },
    );
    return;
  }
  const failures = retry && samePath(retry.remote.path, path) ? retry.attempt : 0;
  admit(turn, remote, failures, lazily ? 'lazily' : 'durably');
  if (earlier) noteMove(turn, earlier.path, path);
  else tell(turn, { kind: 'established', remote: path.remote });
}

/** Notes what a request says of the path: its own length, and the largest inner packet that it reports. */
export function noteRequest(turn: ServerTurn, length: number, report: number | undefined): void {
  setPathMtu(turn, takeRequest(turn.state.pathMtu, { length, report }, turn.now.monotonic));
}

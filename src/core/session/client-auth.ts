/** The client's authentication packets and what the server's signs of life do to them. Rules in client.ts. */
import type { Path } from '../addr.ts';
import { currentPath } from './current-path.ts';
import { millis, toMillis, toSeconds, type Millis } from '../units.ts';
import { backoff, EAGER_SENDS, eagerPause, REPLY_WINDOW, REQUESTS_MAX } from './limits.ts';
import { pathReport } from './path-mtu-search.ts';
import { refusesFirst } from './secure/agreed.ts';
import { secureRequest } from './secure/client-requests.ts';
import type { ClientState, Request } from './state.ts';
import { after, drawSpread, earliest, stampTime, tell, type Turn } from './turn.ts';

type ClientTurn = Turn<ClientState>;

/** Requests that a reply may still answer. */
export function openRequests(turn: ClientTurn): readonly Request[] {
  return turn.state.requests.filter(({ at }) => turn.now.monotonic - at <= REPLY_WINDOW);
}

/** Sends an authentication packet on the current path and sets the time of the next. */
export function authenticate(turn: ClientTurn): void {
  const path = currentPath(turn);
  if (path === undefined) return;
  const wishes = { pathMtu: pathReport(turn.state.pathMtu) };
  const secure = secureRequest(turn, path);
  const first = secure === undefined && !refusesFirst(turn);
  const payload = first ? turn.scheme.build(turn.crypto, stampTime(turn), wishes) : secure;
  const at = turn.now.monotonic;
  const attempts = turn.state.attempts + 1;
  const askedHere = turn.state.askedHere + 1;
  turn.state = { ...turn.state, attempts, askedHere, lastSentAt: at };
  if (payload === undefined) {
    turn.state = { ...turn.state, keyless: true };
  } else {
    const { auth } = turn.config;
    turn.effects.push({
      kind: 'send',
      purpose: 'authenticate',
      path,
      payload,
      ttl: auth.packetTtl,
    });
    turn.state = {
      ...turn.state,
      authPacketsSent: turn.state.authPacketsSent + 1,
      requests: first
        ? [...openRequests(turn), { payload, at }].slice(-REQUESTS_MAX)
        : turn.state.requests,
      awaiting: true,
      unanswered: {
        since: turn.state.unanswered?.since ?? turn.now,
        sent: (turn.state.unanswered?.sent ?? 0) + 1,
      },
      silentSince: turn.state.replies ? (turn.state.silentSince ?? at) : turn.state.silentSince,
    };
  }
  turn.state = { ...turn.state, authAt: nextAuth(turn) };
}

/** When to authenticate after a packet that was just sent. */
function nextAuth(turn: ClientTurn): Millis | undefined {
  const { life, replies, attempts } = turn.state;
  const pause = life === 'new' ? eagerPause : backoff;
  const again = replies || life === 'dead' || (life === 'new' && attempts < EAGER_SENDS);
  const retry = again ? after(turn, pause(attempts, drawSpread(turn))) : undefined;
  return earliest([retry, keepaliveAt(turn)]);
}

function keepaliveAt(turn: ClientTurn): Millis | undefined {
  const keepalive = toMillis(turn.config.timers.keepalive);
  const { lastSentAt } = turn.state;
  if (keepalive === 0 || lastSentAt === undefined) return undefined;
  return millis(Math.max(lastSentAt + keepalive, turn.now.monotonic));
}

/** Notes any sign of life. */
export function heard(turn: ClientTurn): void {
  const { life, replies, awaiting, heard: last } = turn.state;
  const settled = !(replies && awaiting);
  turn.state = {
    ...turn.state,
    life: 'alive',
    heard: turn.now,
    askedHere: 0,
    silentSince: undefined,
    resolveAt: undefined,
    unanswered: undefined,
    undelivered: undefined,
  };
  if (settled) turn.state = { ...turn.state, attempts: 0, authAt: keepaliveAt(turn) };
  const path = currentPath(turn);
  if (life === 'alive' || path === undefined) return;
  const { remote } = path;
  if (life === 'new') return tell(turn, { kind: 'established', remote });
  const silence = toSeconds(millis(turn.now.monotonic - (last ?? turn.now).monotonic));
  tell(turn, { kind: 'back', remote, silence });
}

/** Notes a verified reply. */
export function replied(turn: ClientTurn, path: Path): void {
  turn.state = {
    ...turn.state,
    replies: true,
    notice: undefined,
    awaiting: false,
    verified: turn.now,
    repliesVerified: turn.state.repliesVerified + 1,
  };
  tell(turn, { kind: 'reply', from: path.remote });
  heard(turn);
}

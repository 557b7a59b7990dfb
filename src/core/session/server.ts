/**
 * The server's half of a session.
 *
 * Theory of operation. Packets that the plane does not take for data of the admitted peer arrive
 * here. Each goes through tests in the order of their cost: where it comes from, its length and
 * first bytes, its time, whether it was seen before; then a rate limit, since only now it gets dear;
 * then its token or signature. A packet that fails anywhere is counted and changes nothing else.
 * (The cheap tests stand before the rate limit on purpose. A client whose NAT mapping has just
 * changed sends data from its new address at full speed; that data must not use up what its
 * authentication packet needs to be looked at.)
 *
 * An authentic packet makes its source the remote: written down, admitted if it is not admitted
 * already, answered if so configured, in this order. There is one remote; another path replaces it.
 * When another peer of the tunnel proves itself on this one's path, this one has lost it: forgotten
 * and evicted, until it proves itself again.
 *
 * Timers:
 * - A connection is alive while the peer is heard: an authentic packet, received data by the
 *   plane's counters, or data and empty packets of the admitted path that arrive here. After
 *   `connectionIdle` without, it has expired, which is logged and changes nothing yet.
 * - `authLifetime` after that (0 = never) the remote has run out: forgotten and evicted.
 * - Counters are read several times per `connectionIdle`, and once more a second before the end. A
 *   plane that knows when data last came is asked only a second before each end, and once after
 *   `connectionIdle` has ended, for data of that second.
 * - `keepalive`: an empty packet to the admitted path, so that a NAT in between keeps its mapping.
 * - An admission that failed is repeated with doubling pauses, until the remote would have run out;
 *   in the meantime what was admitted before stays, with its own end.
 * - The name of auth-by-remote-ip is resolved at the start and again while the peer is silent. Until
 *   it has resolved nobody is accepted; when it stops resolving the last addresses count.
 * Nothing to time, no wake-up: a server without a remote and without a name sleeps.
 */
import { familyOf, parseOuterIp, samePath, type Path } from '../addr.ts';
import { ACCEPTED, noticeOf, refused, type Verdict } from '../auth/refusal.ts';
import type { Look, ProvedRequest } from '../auth/scheme.ts';
import { NOTICE_RATE } from '../budgets.ts';
import type { Trouble } from '../events/trouble.ts';
import { sourceOf, type SourceKey } from '../source-key.ts';
import { millis, toMillis, type Instant, type Millis } from '../units.ts';
import { charge } from './charge.ts';
import { backoff, POLL_LEAD, RESOLVE_AGAIN, UNPROVED_REPLY_GAP } from './limits.ts';
import {
  applyLimit,
  heedTooBig,
  ipv6OffAt,
  ipv6Trouble,
  pathMtuIsDue,
  setPathMtu,
  watchIpv6,
} from './mtu-effects.ts';
import { PATH_MTU_MIN } from './path-mtu-limits.ts';
import { pathLimit, pathMtuWakeAt } from './path-mtu.ts';
import { runPathMtu } from './path-mtu-search.ts';
import {
  admit,
  compareCounters,
  expiresAt,
  follow,
  forget,
  hear,
  instantOf,
  nextPoll,
  pointAgain,
  remember,
  runsOutAt,
  takeBack,
  turnAway,
  yieldPath,
  type ServerTurn,
} from './server-remote.ts';
import { sharedKey } from './server-moves.ts';
import { takeRegistration } from './server-registration.ts';
import { accept, noteRequest } from './server-welcome.ts';
import { refusesFirst } from './secure/agreed.ts';
import {
  heedCounts,
  heedStray,
  receiveSecure,
  roamed,
  runServerSecure,
  serverSecureTimes,
} from './secure/server.ts';
import { tellObserved } from './secure/server-says.ts';
import { mayDiffer, resetKept, resumeSecure, secureStatus } from './secure/resume.ts';
import { NO_SERVER_SECURE } from './secure/state.ts';
import { isTagged } from './secure/tags.ts';
import { takeToken } from './rate-limit.ts';
import { FRESH, type Remote, type ServerState } from './state.ts';
import {
  after,
  drawSpread,
  earliest,
  isDue,
  recall,
  refuse,
  resolveName,
  stampTime,
  tell,
  unresolvedBy,
  type PacketEvent,
} from './turn.ts';
import { tellTrouble } from './troubles.ts';
import type { SessionConfig, SessionEvent, SessionMemory, SessionStatus } from './types.ts';

type Refusal = Extract<Look<never>, { readonly ok: false }>;
type EventOf<Kind extends SessionEvent['kind']> = Extract<SessionEvent, { readonly kind: Kind }>;

/** Shared by all that nobody was admitted for. */
const NO_SOURCES: readonly SourceKey[] = [];

export function createServer(now: Instant): ServerState {
  return {
    ...FRESH,
    role: 'server',
    allowed: undefined,
    remote: undefined,
    sources: NO_SOURCES,
    before: undefined,
    retry: undefined,
    keepaliveAt: undefined,
    rememberedAt: now.monotonic,
    repliedAt: undefined,
    notices: undefined,
    requestsAccepted: 0,
    shuttle: undefined,
    secure: NO_SERVER_SECURE,
  };
}

export function advanceServer(turn: ServerTurn, event: SessionEvent): void {
  switch (event.kind) {
    case 'start':
      return start(turn, event);
    case 'packet':
      return receive(turn, event);
    case 'counters':
      compareCounters(turn, event.counts, event.heardAt);
      return heedCounts(turn, event.counts);
    case 'resolved':
      return allowResolved(turn, event);
    case 'admit-failed':
      return takeBack(turn, event.path);
    case 'reauthenticate':
      return tell(turn, { kind: 'nothing-to-authenticate' });
    case 'displaced':
      return yieldPath(turn, event.path);
    case 'turned-away':
      refuse(turn, event.path, refused('verify'));
      return turnAway(turn);
    case 'too-big':
      if (turn.state.remote !== undefined) heedTooBig(turn, event.mtu);
      return;
    case 'unreachable':
    case 'located':
      return;
    case 'roamed':
      return roamed(turn, event.path);
    case 'stray':
      refuse(turn, event.path, refused('not-authentication'));
      return heedStray(turn, event.path, event.length);
    case 'wake':
      return;
  }
}

function start(turn: ServerTurn, event: EventOf<'start'>): void {
  const { auth, remoteHost } = turn.config;
  const memory = recall(turn, event.memory);
  turn.state = { ...turn.state, replay: memory?.replay, secured: memory?.secured ?? false };
  if (auth.byRemoteIp && remoteHost !== undefined) {
    const literal = parseOuterIp(remoteHost);
    if (literal === undefined) resolveName(turn, remoteHost);
    else turn.state = { ...turn.state, allowed: [literal] };
  }
  const { adopted } = event;
  const remote = memory?.remote && formerRemote(turn, memory.remote);
  if (remote === undefined || !mayReturn(turn, remote)) {
    if (memory?.remote) {
      remember(turn, 'lazily');
      tell(turn, { kind: 'not-resumed', remote: memory.remote.path.remote });
    }
    if (adopted) turn.effects.push({ kind: 'evict' });
    if (adopted && memory?.remote === undefined) {
      tell(turn, { kind: 'unvouched', remote: adopted.remote });
    }
    return;
  }
  const secure = resumeSecure(turn, event);
  if (secure) turn.state = { ...turn.state, secure: { ...NO_SERVER_SECURE, ...secure } };
  if (adopted && samePath(adopted, remote.path)) {
    follow(turn, remote, undefined);
    remember(turn, 'lazily');
    if (mayDiffer(turn, event)) pointAgain(turn, adopted);
  } else {
    admit(turn, remote, 0);
  }
  if (!secure) resetKept(turn, event, remote.path);
  tell(turn, { kind: 'resumed', remote: remote.path.remote });
}

/** The remote that the memory names. Only memory vouches for whom a plane still carries. */
function formerRemote(
  { now }: ServerTurn,
  { path, authenticatedAt, lastHeardAt }: NonNullable<SessionMemory['remote']>,
): Remote {
  const authenticated = instantOf(authenticatedAt, now);
  return { path, authenticated, heard: instantOf(lastHeardAt, now), expired: false };
}

function mayReturn(turn: ServerTurn, remote: Remote): boolean {
  // An invitation's key admits nobody, whatever it was before.
  if (turn.config.invitedUntil !== undefined) return false;
  const source = checkSource(turn, remote.path);
  const allowed = source.ok || source.reason === 'unresolved';
  const { local } = remote.path;
  const { families, localPort } = turn.config;
  const here = local.port === localPort && (families?.includes(familyOf(local.ip)) ?? true);
  return allowed && here && !isDue(turn, runsOutAt(turn.config, remote));
}

function receive(turn: ServerTurn, event: PacketEvent): void {
  const { path, payload } = event;
  const { scheme, now } = turn;
  const { remote, retry } = turn.state;
  const source = checkSource(turn, path);
  if (!source.ok) return refuse(turn, path, source);
  const invited = turn.config.invitedUntil !== undefined;
  // The key of an invitation agrees on no session: it registers another one, and that is all.
  if (!invited && receiveSecure(turn, event)) return;
  const admitted = remote !== undefined && samePath(remote.path, path);
  const occasion = { crypto: turn.crypto, now: now.unix };
  const look = scheme.takeRequest(turn.state.replay, payload, occasion);
  if (!look.ok) {
    const dataLike = payload.length === 0 || look.reason === 'not-authentication';
    // Anybody can send that in a peer's name: it counts where its data prove no more.
    if (admitted && dataLike && !isTagged(turn.state)) return hear(turn, remote);
    refuse(turn, path, look);
    return tellRefusal(turn, path, look);
  }
  if (!invited && refusesFirst(turn)) return refuse(turn, path, refused('downgrade'));
  const own = admitted || (retry !== undefined && samePath(retry.remote.path, path));
  const known = turn.state.sources.includes(sourceOf(path.remote.ip));
  const unpaid = charge(turn, event, own ? 'own' : known ? 'known' : 'elsewhere');
  if (unpaid) return refuse(turn, path, unpaid);
  const proved = look.prove();
  if (!proved.ok) return refuse(turn, path, proved);
  if (invited) return takeRegistration(turn, path, proved);
  welcome(turn, path, payload.length, proved);
}

function checkSource(turn: ServerTurn, path: Path): Verdict {
  const { auth, remotePort } = turn.config;
  if (auth.byRemotePort && path.remote.port !== remotePort) return refused('wrong-source');
  if (!auth.byRemoteIp) return ACCEPTED;
  const { allowed } = turn.state;
  if (allowed === undefined) return refused('unresolved');
  return allowed.includes(path.remote.ip) ? ACCEPTED : refused('wrong-source');
}

/** Takes in an authentic packet of session 1. */
function welcome(turn: ServerTurn, path: Path, length: number, request: ProvedRequest): void {
  turn.state = { ...turn.state, replay: request.replay };
  accept(turn, path, {});
  noteRequest(turn, length, request.pathMtu);
  answer(turn, path, request);
}

function answer(turn: ServerTurn, path: Path, request: ProvedRequest): void {
  const { proof, auth } = turn.config;
  if (!auth.replyOnAuthOk) return;
  const { repliedAt } = turn.state;
  const unproved = proof.kind === 'none' && repliedAt !== undefined;
  if (unproved && turn.now.monotonic - repliedAt < UNPROVED_REPLY_GAP) return;
  const payload = request.reply(stampTime(turn));
  turn.state = { ...turn.state, repliedAt: turn.now.monotonic };
  sendReply(turn, path, payload);
}

function sendReply(turn: ServerTurn, path: Path, payload: Uint8Array): void {
  const ttl = turn.config.auth.packetTtl;
  const probe = payload.length >= PATH_MTU_MIN;
  turn.effects.push({
    kind: 'send',
    purpose: 'reply',
    path,
    payload,
    ttl,
    ...(probe && { probe }),
  });
}

/**
 * Tells a client why its packet is refused, where its signature holds. What that costs comes from a
 * small budget of its own, so that old packets, which anybody may have kept, use up no other.
 */
function tellRefusal(turn: ServerTurn, path: Path, look: Refusal): void {
  const notice = noticeOf(look);
  if (look.tell === undefined || notice === undefined || turn.tentative) return;
  if (!turn.config.auth.replyOnAuthOk) return;
  const now = turn.now.monotonic;
  const notices = takeToken(turn.state.notices, NOTICE_RATE, now);
  if (notices === undefined || !turn.gate.notice(now)) return;
  turn.state = { ...turn.state, notices };
  const { remote } = turn.state;
  const takenOver =
    notice.reason === 'stale' && remote !== undefined && !samePath(remote.path, path);
  const told = takenOver ? { ...notice, reason: 'taken-over' as const } : notice;
  const payload = look.tell(stampTime(turn), told);
  if (payload) sendReply(turn, path, payload);
}

function allowResolved(turn: ServerTurn, event: EventOf<'resolved'>): void {
  if (turn.state.resolveAt === undefined) return;
  const found = event.addresses.length > 0;
  const resolveFailures = found ? 0 : turn.state.resolveFailures + 1;
  turn.state = {
    ...turn.state,
    allowed: found ? event.addresses : turn.state.allowed,
    resolveFailures,
    unresolved: found ? undefined : unresolvedBy(turn.config.remoteHost ?? '', event),
    resolveAt: after(turn, found ? RESOLVE_AGAIN : backoff(resolveFailures, drawSpread(turn))),
  };
}

/** Does whatever is due. */
export function runServerTimers(turn: ServerTurn): void {
  forgetBefore(turn);
  retryAdmission(turn);
  watchRemote(turn);
  resolveAgain(turn);
  runServerSecure(turn);
  watchPathMtu(turn);
  tellTrouble(turn, turn.state.unresolved ?? sharedKey(turn.state, turn.now));
}

function serverTroubles(state: ServerState, now: Instant): readonly Trouble[] {
  return [state.unresolved, sharedKey(state, now), ipv6Trouble(state)].filter(
    (trouble) => trouble !== undefined,
  );
}

function watchPathMtu(turn: ServerTurn): void {
  if (pathMtuIsDue(turn)) {
    setPathMtu(turn, runPathMtu(turn.state.pathMtu, turn.now.monotonic).state);
  }
  applyLimit(turn);
  watchIpv6(turn, turn.state.remote !== undefined);
}

/** No failure of the last `admit` comes any more. */
function forgetBefore(turn: ServerTurn): void {
  if (isDue(turn, turn.state.before?.until)) turn.state = { ...turn.state, before: undefined };
}

function retryAdmission(turn: ServerTurn): void {
  const { retry } = turn.state;
  if (retry === undefined || !isDue(turn, retry.at)) return;
  turn.state = { ...turn.state, retry: undefined };
  if (!isDue(turn, runsOutAt(turn.config, retry.remote))) admit(turn, retry.remote, retry.attempt);
}

function watchRemote(turn: ServerTurn): void {
  const { config } = turn;
  const { remote } = turn.state;
  if (remote === undefined) return;
  if (isDue(turn, runsOutAt(config, remote))) return forget(turn, remote);
  if (!remote.expired && isDue(turn, expiresAt(config, remote))) {
    const expired = { ...remote, expired: true };
    const pollAt = turn.state.timed ? after(turn, POLL_LEAD) : turn.state.pollAt;
    turn.state = { ...turn.state, remote: expired, pollAt };
    tell(turn, { kind: 'expired', remote: remote.path.remote });
  }
  if (isDue(turn, turn.state.keepaliveAt)) {
    const keepaliveAt = after(turn, toMillis(config.timers.keepalive));
    turn.state = { ...turn.state, keepaliveAt };
    keepAlive(turn, remote.path);
  }
  if (isDue(turn, turn.state.pollAt)) {
    turn.state = { ...turn.state, pollAt: nextPoll(turn, remote) };
    turn.effects.push({ kind: 'poll-counters' });
  }
}

/** What keeps a mapping of a NAT alive, and shows that the server is there: proved, where data are. */
function keepAlive(turn: ServerTurn, path: Path): void {
  if (isTagged(turn.state)) return tellObserved(turn, path);
  const payload = new Uint8Array();
  turn.effects.push({ kind: 'send', purpose: 'keepalive', path, payload, ttl: undefined });
}

function resolveAgain(turn: ServerTurn): void {
  const { remoteHost } = turn.config;
  if (!isDue(turn, turn.state.resolveAt) || remoteHost === undefined) return;
  const { remote, allowed, resolveFailures } = turn.state;
  const alive = remote !== undefined && !remote.expired;
  const settled = allowed !== undefined && resolveFailures === 0;
  if (alive && settled) turn.state = { ...turn.state, resolveAt: after(turn, RESOLVE_AGAIN) };
  else resolveName(turn, remoteHost);
}

export function serverWakeAt(config: SessionConfig, state: ServerState): Millis | undefined {
  const { remote } = state;
  return earliest([
    state.resolveAt,
    state.retry?.at,
    ...serverSecureTimes(state.secure),
    state.keepaliveAt,
    state.pollAt,
    pathMtuWakeAt(state.pathMtu),
    ipv6OffAt(state),
    remote && runsOutAt(config, remote),
    remote && !remote.expired ? expiresAt(config, remote) : undefined,
  ]);
}

export function serverPhase({ remote }: ServerState): SessionStatus['phase'] {
  return remote && !remote.expired ? 'established' : 'listening';
}

export function serverStatus(
  config: SessionConfig,
  state: ServerState,
  now: Instant,
): SessionStatus {
  const { remote } = state;
  const end = remote && runsOutAt(config, remote);
  return {
    phase: serverPhase(state),
    path: remote?.path,
    authenticatedAt: remote?.authenticated.unix,
    lastHeardAt: remote?.heard.unix,
    rememberedUntil: end === undefined ? undefined : millis(now.unix + end - now.monotonic),
    refused: state.refusals.counts,
    authPacketsSent: 0,
    repliesVerified: 0,
    notice: undefined,
    requestsAccepted: state.requestsAccepted,
    tooBig: state.tooBig,
    pathMtu: { limit: pathLimit(state.pathMtu), proved: undefined },
    secure: secureStatus(state),
    troubles: serverTroubles(state, now),
  };
}

/**
 * The client's half of a session.
 *
 * Theory of operation. The server's endpoint is configured, so the client's way to a path is: its
 * addresses (literal, or resolved), then the local addresses to reach them from (`locate`), of which one
 * is chosen (client-ways.ts tells how, and when another has its turn), then
 * `connect`: the path is admitted, and the authentication packet is sent, in this order: the reply comes
 * as soon as a round trip takes, and a plane may refuse what comes from where nobody is admitted. Data that
 * leaves in between is lost as any that is sent before; the server counts it, and it uses up nothing that
 * authentication needs (core/budgets.ts). From then on the plane carries data, and the client's work is to notice when the server
 * no longer knows it: after a restart of the server, a new NAT mapping, a new address on either side.
 *
 * Signs of life from the server: a verified reply, an empty packet from its endpoint (its
 * keepalive; it is not answered), received data by the plane's counters. A reply that cannot be
 * verified is refused and counted, and is no sign of life.
 *
 * Timers:
 * - `authAt`, the next authentication packet. The earliest of: `keepalive` after the last one; while
 *   a reply is awaited from a server that replies, or the server is dead, a pause that doubles from 1
 *   to 60 s (spread by jitter); on a path on which nothing was heard yet, some 2 s for three minutes, since
 *   the server may be about to start. It may also be one that never replies: then data or a keepalive of
 *   its ends this.
 * - Silence begins with the first thing sent after the last sign of life: data, by the counters,
 *   and, if this server has ever replied in this run, an authentication packet. With `keepalive` 0
 *   and no data nothing is sent, so silence never begins. Half of `deadPeerTimeout` into it, a
 *   server that replies is asked; after the whole the server is dead: logged, name and route are
 *   looked up again at once and from time to time, authentication goes on with the pauses above. A
 *   server that never replied is only declared dead when data went on being sent into the silence:
 *   one unanswered datagram proves nothing. Any sign of life ends it.
 * - While nothing is heard, the other addresses of the server have their turns: client-ways.ts.
 * - `locateAt`: the routes are looked up again every minute (every 5 s while there is none), though
 *   changes are reported unasked: this is what keeps a client from ever being stuck.
 * - `resolveAt`: a name that did not resolve is tried again with doubling pauses, one that did every
 *   minute until the server is heard.
 * - An ICMP error about an alive server brings one authentication packet every 5 s at most.
 * - `admitAt`: a path that could not be admitted is tried again with doubling pauses.
 * - With `mtu auto` the path's size is searched for; when, path-mtu.ts tells. Its probes are requests, so
 *   their answers are signs of life, but one that is lost is no silence.
 *
 * Never stuck: after `start`, either the remote is unknown and `resolveAt` is set, or it is known
 * and `locateAt` is set; `resolve` and `locate` set their timer again when they are emitted, so
 * an answer that never comes is asked for again. Hence `wakeAt` is defined in every state.
 *
 * The clock may be stepped: timers are monotonic, unix time is only put into packets and memory.
 */
import { parseOuterIp, type Path } from '../addr.ts';
import { millis, toMillis, type Instant, type Millis } from '../units.ts';
import { clientPathMtu, compareTraffic, runMtuTimers } from './client-mtu.ts';
import { admit, pollGap, retryAdmit, yieldPath } from './client-path.ts';
import { receive } from './client-replies.ts';
import { authenticate, heard } from './client-auth.ts';
import { currentPath } from './current-path.ts';
import { CANDIDATE_ADMITS, CANDIDATE_SENDS, UNREACHABLE_GAP } from './limits.ts';
import { heedTooBig, ipv6OffAt } from './mtu-effects.ts';
import { pathMtuWakeAt } from './path-mtu.ts';
import { clientSecureTimes, countPackets, heedCounts, runClientSecure } from './secure/client.ts';
import { REKEY_AFTER } from './secure/limits.ts';
import { mayDiffer, resumeSecure, secureStatus } from './secure/resume.ts';
import { NO_CLIENT_SECURE } from './secure/state.ts';
import { FRESH, type ClientState } from './state.ts';
import { hostOf, isSpent, locate, moveOn, seek, takeAddresses, takeWays } from './client-ways.ts';
import { clientTroubles, standing, troubleWakeAt } from './client-troubles.ts';
import { tellTrouble } from './troubles.ts';
import { after, earliest, isDue, recall, resolveName, tell, type Turn } from './turn.ts';
import type { PacketCounts, SessionConfig, SessionEvent, SessionStatus } from './types.ts';

type ClientTurn = Turn<ClientState>;
type EventOf<Kind extends SessionEvent['kind']> = Extract<SessionEvent, { readonly kind: Kind }>;

export function createClient(): ClientState {
  return {
    ...FRESH,
    role: 'client',
    addresses: [],
    ways: [],
    remote: undefined,
    via: undefined,
    local: undefined,
    noRoute: undefined,
    locateAt: undefined,
    admitted: undefined,
    admitAt: undefined,
    admitFailures: 0,
    life: 'new',
    replies: false,
    awaiting: false,
    attempts: 0,
    askedHere: 0,
    authAt: undefined,
    lastSentAt: undefined,
    unanswered: undefined,
    undelivered: undefined,
    keyless: false,
    requests: [],
    verified: undefined,
    heard: undefined,
    silentSince: undefined,
    dataSentAt: undefined,
    authPacketsSent: 0,
    repliesVerified: 0,
    notice: undefined,
    unreachableAt: undefined,
    mtuTrouble: undefined,
    secure: NO_CLIENT_SECURE,
  };
}

export function advanceClient(turn: ClientTurn, event: SessionEvent): void {
  switch (event.kind) {
    case 'start':
      return start(turn, event);
    case 'packet':
      return receive(turn, event);
    case 'counters':
      compareCounters(turn, event.counts);
      return heedCounts(turn, event.counts);
    case 'resolved':
      return takeAddresses(turn, event);
    case 'located':
      return takeWays(turn, event);
    case 'reauthenticate':
      turn.state = { ...turn.state, attempts: 0 };
      return currentPath(turn) ? authenticate(turn) : tell(turn, { kind: 'no-path' });
    case 'admit-failed':
      return heedRefusedAdmit(turn, event.path);
    case 'turned-away':
      return;
    case 'displaced':
      return yieldPath(turn, event.path);
    case 'unreachable':
      return heedUnreachable(turn, event);
    case 'too-big':
      if (currentPath(turn) !== undefined) heedTooBig(turn, event.mtu);
      return;
    case 'roamed':
    case 'stray':
    case 'wake':
      return;
  }
}

function start(turn: ClientTurn, event: EventOf<'start'>): void {
  const memory = recall(turn, event.memory);
  turn.state = {
    ...turn.state,
    replay: memory?.replay,
    secured: memory?.secured ?? false,
    admitted: event.adopted,
  };
  const secure = resumeSecure(turn, event);
  if (secure) {
    const age = Math.max(0, turn.now.unix - secure.current.since);
    const rekeyAt = after(turn, millis(Math.max(0, toMillis(REKEY_AFTER) - age)));
    turn.state = { ...turn.state, secure: { ...NO_CLIENT_SECURE, ...secure, rekeyAt } };
  }
  if (mayDiffer(turn, event)) turn.state = { ...turn.state, admitted: undefined };
  seek(turn);
}

/** The plane refuses a path: it is asked again, and soon for another where the server has one. */
function heedRefusedAdmit(turn: ClientTurn, path: Path): void {
  retryAdmit(turn, path);
  if (turn.state.admitFailures >= CANDIDATE_ADMITS) moveOn(turn, 'refused');
}

/**
 * The network says that packets do not arrive. That may be true, for a server that has just restarted,
 * or forged: so nothing is torn down, and all it brings about is one packet in a while, and words where
 * there is no answer.
 */
function heedUnreachable(turn: ClientTurn, { code, from }: EventOf<'unreachable'>): void {
  const { life, unreachableAt } = turn.state;
  const recent =
    unreachableAt !== undefined && turn.now.monotonic - unreachableAt < UNREACHABLE_GAP;
  const path = currentPath(turn);
  if (path === undefined) return;
  turn.state = { ...turn.state, undelivered: { code, from } };
  // Nothing is heard here anyway: another address of the server may have its turn.
  if (life !== 'alive') turn.state = { ...turn.state, askedHere: CANDIDATE_SENDS };
  if (life !== 'alive' || recent) return;
  turn.state = { ...turn.state, unreachableAt: turn.now.monotonic };
  tell(turn, { kind: 'unreachable', remote: path.remote, code, from });
  authenticate(turn);
}

function compareCounters(turn: ClientTurn, counts: PacketCounts): void {
  const { counts: last } = turn.state;
  if (currentPath(turn) === undefined) return;
  turn.state = { ...turn.state, counts };
  if (last === undefined) return;
  compareTraffic(turn, counts, last);
  countPackets(turn, counts.rxPackets - last.rxPackets + counts.txPackets - last.txPackets);
  if (counts.rxPackets > last.rxPackets) heard(turn);
  else if (counts.txPackets > last.txPackets) dataSent(turn);
}

/** Data went out and nothing came in. */
function dataSent(turn: ClientTurn): void {
  const { silentSince, replies, authAt } = turn.state;
  const began = silentSince ?? turn.now.monotonic;
  const half = toMillis(turn.config.timers.deadPeerTimeout) / 2;
  const ask = silentSince === undefined && replies ? after(turn, millis(half)) : undefined;
  turn.state = {
    ...turn.state,
    silentSince: began,
    dataSentAt: turn.now.monotonic,
    authAt: earliest([authAt, ask]),
  };
}

/** Does whatever is due. */
export function runClientTimers(turn: ClientTurn): void {
  runOwnTimers(turn);
  runClientSecure(turn);
  runMtuTimers(turn);
  tellTrouble(turn, standing(turn.config, turn.state, turn.now));
}

function runOwnTimers(turn: ClientTurn): void {
  const { config } = turn;
  if (isDue(turn, turn.state.resolveAt)) resolveName(turn, hostOf(turn));
  const { remote } = turn.state;
  if (isDue(turn, turn.state.locateAt) && remote !== undefined) locate(turn);
  if (currentPath(turn) === undefined) return;
  if (isDue(turn, turn.state.admitAt)) admit(turn);
  if (isDue(turn, deathAt(config, turn.state))) endSilence(turn);
  if (isDue(turn, turn.state.authAt) && !(isSpent(turn.state) && moveOn(turn, 'no-answer')))
    authenticate(turn);
  if (isDue(turn, turn.state.pollAt)) {
    const gap = pollGap(config);
    turn.state = { ...turn.state, pollAt: gap === undefined ? undefined : after(turn, gap) };
    turn.effects.push({ kind: 'poll-counters' });
  }
}

/** When silence has lasted too long; undefined while nobody is missed. */
function deathAt(config: SessionConfig, state: ClientState): Millis | undefined {
  const timeout = toMillis(config.timers.deadPeerTimeout);
  if (timeout === 0 || state.silentSince === undefined || state.life === 'dead') return undefined;
  return millis(state.silentSince + timeout);
}

/** The server is dead, unless it never replies and nothing much was sent. */
function endSilence(turn: ClientTurn): void {
  const { replies, dataSentAt, silentSince } = turn.state;
  const path = currentPath(turn);
  if (path === undefined) return;
  const half = toMillis(turn.config.timers.deadPeerTimeout) / 2;
  if (!replies && (dataSentAt ?? 0) - (silentSince ?? 0) < half) {
    turn.state = { ...turn.state, silentSince: undefined };
    return;
  }
  const { deadPeerTimeout: timeout } = turn.config.timers;
  tell(turn, { kind: 'silent', remote: path.remote, timeout });
  turn.state = { ...turn.state, life: 'dead', attempts: 0 };
  authenticate(turn);
  const host = hostOf(turn);
  if (parseOuterIp(host) === undefined) resolveName(turn, host);
  locate(turn);
}

export function clientWakeAt(config: SessionConfig, state: ClientState): Millis | undefined {
  const online = state.remote !== undefined && state.local !== undefined;
  return earliest([
    state.resolveAt,
    state.locateAt,
    ...(online ? clientSecureTimes(state) : []),
    ...(online ? [state.admitAt, state.authAt, state.pollAt, deathAt(config, state)] : []),
    online ? pathMtuWakeAt(state.pathMtu) : undefined,
    ipv6OffAt(state),
    troubleWakeAt(state),
  ]);
}

export function clientPhase(state: ClientState): SessionStatus['phase'] {
  if (state.remote === undefined) return 'resolving';
  if (state.local === undefined) return 'offline';
  return state.life === 'alive' ? 'established' : 'authenticating';
}

export function clientStatus(
  config: SessionConfig,
  state: ClientState,
  now: Instant,
): SessionStatus {
  return {
    phase: clientPhase(state),
    path: state.admitted,
    authenticatedAt: state.verified?.unix,
    lastHeardAt: state.heard?.unix,
    rememberedUntil: undefined,
    refused: state.refusals.counts,
    authPacketsSent: state.authPacketsSent,
    repliesVerified: state.repliesVerified,
    notice: state.notice,
    requestsAccepted: 0,
    tooBig: state.tooBig,
    pathMtu: clientPathMtu(state),
    secure: secureStatus(state),
    troubles: clientTroubles(config, state, now),
  };
}

/**
 * The client's half of a session.
 *
 * Theory of operation. The server's endpoint is configured, so the client's way to a path is: its
 * address (literal, or resolved), then the local address to reach it from (`locate`), then
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
 * - When the dead server's name has several addresses, each look-up moves on to the next one. An
 *   alive server's address is kept as long as the name has it.
 * - `locateAt`: the route is looked up again every minute (every 5 s while there is none), though
 *   changes are reported unasked: this is what keeps a client from ever being stuck.
 * - `resolveAt`: a name that did not resolve is tried again with doubling pauses.
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
import { parseOuterIp, samePath, type OuterIp, type Path } from '../addr.ts';
import { millis, toMillis, type Instant, type Millis } from '../units.ts';
import {
  clientPathMtu,
  compareTraffic,
  forgetPathMtu,
  runMtuTimers,
  takeRouteMtu,
  trafficPoll,
} from './client-mtu.ts';
import { receive } from './client-replies.ts';
import { authenticate, currentPath, heard } from './client-auth.ts';
import {
  backoff,
  LOCATE_TIMEOUT,
  OFFLINE_CHECK,
  pollInterval,
  RESOLVE_AGAIN,
  ROUTE_CHECK,
  UNREACHABLE_GAP,
} from './limits.ts';
import { heedTooBig } from './mtu-effects.ts';
import { pathMtuWakeAt } from './path-mtu.ts';
import { FRESH, type ClientState } from './state.ts';
import { clientTroubles, standing, troubleWakeAt } from './client-troubles.ts';
import { tellTrouble } from './troubles.ts';
import {
  after,
  drawSpread,
  earliest,
  isDue,
  recall,
  resolveName,
  tell,
  unresolvedBy,
  type Turn,
} from './turn.ts';
import type { PacketCounts, SessionConfig, SessionEvent, SessionStatus } from './types.ts';

type ClientTurn = Turn<ClientState>;
type EventOf<Kind extends SessionEvent['kind']> = Extract<SessionEvent, { readonly kind: Kind }>;

export function createClient(): ClientState {
  return {
    ...FRESH,
    role: 'client',
    addresses: [],
    remote: undefined,
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
  };
}

export function advanceClient(turn: ClientTurn, event: SessionEvent): void {
  switch (event.kind) {
    case 'start':
      return start(turn, event);
    case 'packet':
      return receive(turn, event);
    case 'counters':
      return compareCounters(turn, event.counts);
    case 'resolved':
      return takeAddresses(turn, event);
    case 'local':
      return takeLocal(turn, event);
    case 'reauthenticate':
      turn.state = { ...turn.state, attempts: 0 };
      return currentPath(turn) ? authenticate(turn) : tell(turn, { kind: 'no-path' });
    case 'admit-failed':
      return retryAdmit(turn, event.path);
    case 'displaced':
      return yieldPath(turn, event.path);
    case 'unreachable':
      return heedUnreachable(turn, event);
    case 'too-big':
      return heedTooBig(turn, event.mtu);
    case 'wake':
      return;
  }
}

function start(turn: ClientTurn, event: EventOf<'start'>): void {
  const memory = recall(turn, event.memory);
  turn.state = { ...turn.state, replay: memory?.replay, admitted: event.adopted };
  const host = hostOf(turn);
  const literal = parseOuterIp(host);
  if (literal === undefined) resolveName(turn, host);
  else aim(turn, [literal], literal);
}

function hostOf(turn: ClientTurn): string {
  const { remoteHost } = turn.config;
  if (remoteHost === undefined) throw new TypeError('a client without remoteHost');
  return remoteHost;
}

/** Sets the server's address and asks for the way to it. */
function aim(turn: ClientTurn, addresses: readonly OuterIp[], remote: OuterIp): void {
  const unknown = { local: undefined, noRoute: undefined, authAt: undefined };
  turn.state = { ...turn.state, addresses, remote, ...unknown };
  locate(turn, remote);
}

function locate(turn: ClientTurn, remote: OuterIp): void {
  turn.state = { ...turn.state, locateAt: after(turn, LOCATE_TIMEOUT) };
  turn.effects.push({ kind: 'locate', remote });
}

function takeAddresses(turn: ClientTurn, event: EventOf<'resolved'>): void {
  const { addresses: found } = event;
  const { remote, life, resolveAt } = turn.state;
  if (resolveAt === undefined) return;
  const [first] = found;
  if (first === undefined) {
    const resolveFailures = turn.state.resolveFailures + 1;
    const wait = backoff(resolveFailures, drawSpread(turn));
    const unresolved = unresolvedBy(hostOf(turn), event);
    turn.state = { ...turn.state, resolveFailures, unresolved, resolveAt: after(turn, wait) };
    return;
  }
  const again = life === 'dead' ? after(turn, RESOLVE_AGAIN) : undefined;
  turn.state = { ...turn.state, resolveFailures: 0, unresolved: undefined, resolveAt: again };
  const place = remote === undefined ? -1 : found.indexOf(remote);
  const next = place >= 0 && life === 'dead' ? found[(place + 1) % found.length] : undefined;
  const chosen = next ?? (place >= 0 && remote !== undefined ? remote : first);
  if (chosen === remote) {
    turn.state = { ...turn.state, addresses: found };
    return;
  }
  tell(turn, { kind: 'resolved', host: hostOf(turn), address: chosen, before: remote });
  aim(turn, found, chosen);
}

function takeLocal(turn: ClientTurn, { ip: local, mtu, why }: EventOf<'local'>): void {
  const { remote, local: earlier } = turn.state;
  if (remote === undefined) return;
  const wait = local === undefined ? OFFLINE_CHECK : ROUTE_CHECK;
  const noRoute = local === undefined ? { why } : undefined;
  turn.state = { ...turn.state, local, noRoute, locateAt: after(turn, wait) };
  if (local === earlier) return takeRouteMtu(turn, mtu);
  forgetPathMtu(turn, mtu);
  if (local !== undefined) return connect(turn);
  turn.state = {
    ...turn.state,
    authAt: undefined,
    pollAt: undefined,
    silentSince: undefined,
    awaiting: false,
    unanswered: undefined,
  };
}

/** Takes a new or regained path into use. */
function connect(turn: ClientTurn): void {
  turn.state = {
    ...turn.state,
    life: 'new',
    attempts: 0,
    awaiting: false,
    silentSince: undefined,
    heard: undefined,
    unanswered: undefined,
    undelivered: undefined,
    counts: undefined,
    admitFailures: 0,
    // At once, to have something to compare with.
    pollAt: pollGap(turn.config) === undefined ? undefined : turn.now.monotonic,
  };
  admit(turn);
  authenticate(turn);
}

function admit(turn: ClientTurn): void {
  const path = currentPath(turn);
  const { admitted } = turn.state;
  turn.state = { ...turn.state, admitAt: undefined };
  if (path === undefined || (admitted && samePath(admitted, path))) return;
  turn.state = { ...turn.state, admitted: path };
  turn.effects.push({ kind: 'admit', path });
}

function retryAdmit(turn: ClientTurn, path: Path): void {
  const { admitted } = turn.state;
  if (admitted === undefined || !samePath(admitted, path)) return;
  const admitFailures = turn.state.admitFailures + 1;
  const wait = backoff(admitFailures, drawSpread(turn));
  turn.state = { ...turn.state, admitted: undefined, admitFailures, admitAt: after(turn, wait) };
  const { remote } = path;
  tell(turn, { kind: 'not-admitted', role: 'client', remote, attempt: admitFailures });
}

/** Another peer of this tunnel took the same path: two that are configured to one server and port. */
function yieldPath(turn: ClientTurn, path: Path): void {
  const { admitted } = turn.state;
  if (admitted === undefined || !samePath(admitted, path)) return;
  turn.state = { ...turn.state, admitted: undefined, admitAt: undefined };
  turn.effects.push({ kind: 'evict' });
  tell(turn, { kind: 'displaced', role: 'client', remote: path.remote });
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
  runMtuTimers(turn);
  tellTrouble(turn, standing(turn.config, turn.state, turn.now));
}

function runOwnTimers(turn: ClientTurn): void {
  const { config } = turn;
  if (isDue(turn, turn.state.resolveAt)) resolveName(turn, hostOf(turn));
  const { remote } = turn.state;
  if (isDue(turn, turn.state.locateAt) && remote !== undefined) locate(turn, remote);
  if (currentPath(turn) === undefined) return;
  if (isDue(turn, turn.state.admitAt)) admit(turn);
  if (isDue(turn, deathAt(config, turn.state))) endSilence(turn);
  if (isDue(turn, turn.state.authAt)) authenticate(turn);
  if (isDue(turn, turn.state.pollAt)) {
    const gap = pollGap(config);
    turn.state = { ...turn.state, pollAt: gap === undefined ? undefined : after(turn, gap) };
    turn.effects.push({ kind: 'poll-counters' });
  }
}

/** How often to read the counters; undefined = nobody wants to know. */
function pollGap(config: SessionConfig): Millis | undefined {
  const timeout = toMillis(config.timers.deadPeerTimeout);
  return earliest([timeout > 0 ? pollInterval(timeout) : undefined, trafficPoll(config)]);
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
  locate(turn, path.remote.ip);
}

export function clientWakeAt(config: SessionConfig, state: ClientState): Millis | undefined {
  const online = state.remote !== undefined && state.local !== undefined;
  return earliest([
    state.resolveAt,
    state.locateAt,
    ...(online ? [state.admitAt, state.authAt, state.pollAt, deathAt(config, state)] : []),
    online ? pathMtuWakeAt(state.pathMtu) : undefined,
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
    troubles: clientTroubles(config, state, now),
  };
}

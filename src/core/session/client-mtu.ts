/** The client's probes of the path to its server, and what it makes of the answers. Rules in path-mtu.ts. */
import { familyOf } from '../addr.ts';
import { schemeOf } from '../auth/schemes.ts';
import { AUTH_V1_LENGTH } from '../auth/v1.ts';
import type { Unprobed } from '../events/trouble.ts';
import type { Millis } from '../units.ts';
import { openRequests } from './client-auth.ts';
import { currentPath } from './current-path.ts';
import { INITIAL_SENDS, REQUESTS_MAX } from './limits.ts';
import { applyLimit, pathMtuIsDue, setPathMtu, watchIpv6 } from './mtu-effects.ts';
import { pathSizes, TRAFFIC_POLL, type PathSizes } from './path-mtu-limits.ts';
import { createPathMtu, pathLimit, setCeiling, takeTraffic } from './path-mtu.ts';
import { pathReport, runPathMtu, takeAnswer } from './path-mtu-search.ts';
import { isSecure, secureProbe } from './secure/client-requests.ts';
import type { ClientState } from './state.ts';
import { stampTime, tell, type Turn } from './turn.ts';
import type { PacketCounts, PathMtuStatus, SessionConfig } from './types.ts';

type ClientTurn = Turn<ClientState>;

/** Whether this client probes: its requests must be its own to pad. */
function isProbing({ mtu, proof }: SessionConfig): boolean {
  const signs = proof.kind === 'ed25519' && proof.privateSeed !== undefined;
  return (mtu === 'auto' || mtu === 'try') && schemeOf(proof).extensible && signs;
}

/** Of the current path. */
function sizesOf(turn: ClientTurn): PathSizes {
  const { remote, via } = turn.state;
  const address = via ?? remote;
  const family = address === undefined ? 'ipv4' : familyOf(address);
  return pathSizes(family, turn.config.ipv6Inside);
}

/** Begins anew on a new path. */
export function forgetPathMtu(turn: ClientTurn, ceiling: number | undefined): void {
  const { config } = turn;
  const fixed = typeof config.mtu === 'number' ? config.mtu : ceiling;
  setPathMtu(turn, createPathMtu(sizesOf(turn), isProbing(config), fixed));
}

/** The route takes another size. */
export function takeRouteMtu(turn: ClientTurn, ceiling: number | undefined): void {
  if (typeof turn.config.mtu === 'number') return;
  setPathMtu(turn, setCeiling(turn.state.pathMtu, ceiling));
}

/** A verified reply came; `awaited`: to a regular request, as far as one can tell, if it is bare. */
export function takeReply(turn: ClientTurn, payload: Uint8Array, awaited: boolean): void {
  const { pathMtu } = turn.state;
  const { length } = payload;
  const bare = length === AUTH_V1_LENGTH && turn.scheme.signedReplies;
  if (bare && awaited && pathMtu.search) return;
  const answer = bare ? ({ kind: 'bare' } as const) : ({ kind: 'exact', length } as const);
  setPathMtu(turn, takeAnswer(pathMtu, answer, turn.now.monotonic));
}

/** Counters were read again. */
export function compareTraffic(turn: ClientTurn, counts: PacketCounts, last: PacketCounts): void {
  const received = counts.rxPackets > last.rxPackets;
  const sent = counts.txPackets > last.txPackets;
  setPathMtu(turn, takeTraffic(turn.state.pathMtu, { received, sent }, turn.now.monotonic));
}

/** How often to read counters at the least; undefined = it does not matter. */
export function trafficPoll(config: SessionConfig): Millis | undefined {
  return isProbing(config) ? TRAFFIC_POLL : undefined;
}

/** The report that requests carry. */
export function requestReport(state: ClientState): number | undefined {
  return pathReport(state.pathMtu);
}

/** Sends the probes that are due, tells the plane of a new limit, and the operator of a new trouble. */
export function runMtuTimers(turn: ClientTurn): void {
  if (currentPath(turn) !== undefined && pathMtuIsDue(turn)) {
    const { state, probes } = runPathMtu(turn.state.pathMtu, turn.now.monotonic);
    setPathMtu(turn, state);
    for (const size of probes) sendProbe(turn, size);
  }
  applyLimit(turn);
  watchIpv6(turn, currentPath(turn) !== undefined);
  const trouble = troubleOf(turn.config, turn.state);
  if (trouble === turn.state.mtuTrouble) return;
  turn.state = { ...turn.state, mtuTrouble: trouble };
  if (trouble !== undefined)
    tell(turn, { kind: 'trouble', trouble: { kind: 'unprobed', why: trouble } });
}

/** One that gets no answer is no sign of a dead server, so it starts none of the timers of silence. */
function sendProbe(turn: ClientTurn, size: number): void {
  const path = currentPath(turn);
  const wishes = { length: size, pathMtu: requestReport(turn.state) };
  const secure = isSecure(turn);
  const payload = secure
    ? secureProbe(turn, size)
    : turn.scheme.build(turn.crypto, stampTime(turn), wishes);
  if (path === undefined || payload === undefined) return;
  const ttl = turn.config.auth.packetTtl;
  turn.effects.push({ kind: 'send', purpose: 'authenticate', path, payload, ttl, probe: true });
  const request = { payload, at: turn.now.monotonic };
  turn.state = {
    ...turn.state,
    authPacketsSent: turn.state.authPacketsSent + 1,
    requests: secure ? turn.state.requests : [...openRequests(turn), request].slice(-REQUESTS_MAX),
  };
}

function troubleOf(config: SessionConfig, state: ClientState): Unprobed | undefined {
  if (config.mtu !== 'auto') return undefined;
  if (!isProbing(config)) return 'unsigned';
  const { mute, proved } = state.pathMtu;
  if (mute === 'padding') return 'padding';
  const asked = state.authPacketsSent >= INITIAL_SENDS && state.life === 'alive';
  const unanswered = !state.replies && asked;
  return unanswered || (mute === 'silent' && proved === undefined) ? 'unanswered' : undefined;
}

export function clientPathMtu({ pathMtu }: ClientState): PathMtuStatus {
  return { limit: pathLimit(pathMtu), proved: pathMtu.proved?.size };
}

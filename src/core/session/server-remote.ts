/** The server's remote: admitted, watched over, written down, forgotten. Rules in server.ts. */
import { familyOf, samePath, type Path } from '../addr.ts';
import type { EventOf } from '../events/event.ts';
import { sourceOf } from '../source-key.ts';
import { millis, toMillis, toSeconds, type Instant, type Millis } from '../units.ts';
import {
  ADMIT_ANSWER,
  backoff,
  KNOWN_MAX,
  POLL_LEAD,
  POLL_MAX,
  pollInterval,
  REMEMBER_GAP,
} from './limits.ts';
import { pathSizes } from './path-mtu-limits.ts';
import { LISTENING, listening } from './path-mtu.ts';
import type { PathMtu } from './path-mtu-search.ts';
import type { Remote, ServerState } from './state.ts';
import { attestAnew } from './secure/attest.ts';
import { endTagged, isTagged, tagsOf } from './secure/tags.ts';
import { after, drawSpread, isDue, tell, type Turn } from './turn.ts';
import type { PacketCounts, SessionConfig, SessionMemory } from './types.ts';

export type ServerTurn = Turn<ServerState>;

/** Makes a remote the admitted one; `failures` attempts have failed before. It is written down before the plane has it, or `lazily`. */
export function admit(
  turn: ServerTurn,
  remote: Remote,
  failures: number,
  how: 'lazily' | 'durably' = 'durably',
): void {
  const { remote: earlier } = turn.state;
  // A plane may carry another family by another device.
  if (earlier && familyOf(earlier.path.remote.ip) !== familyOf(remote.path.remote.ip)) {
    attestAnew(turn);
  }
  const before =
    earlier || failures > 0
      ? { remote: earlier, attempt: failures, until: after(turn, ADMIT_ANSWER) }
      : undefined;
  follow(turn, remote, undefined);
  turn.state = { ...turn.state, before };
  remember(turn, how);
  point(turn, remote.path);
}

/**
 * Has the plane carry the path where the peer is with the tags of now. Where that fails there is no way back to
 * the path before: the plane may have left it.
 */
export function pointAgain(turn: ServerTurn, path: Path): void {
  const { before } = turn.state;
  if (before) turn.state = { ...turn.state, before: { ...before, remote: undefined } };
  point(turn, path);
}

function point(turn: ServerTurn, path: Path): void {
  const tags = tagsOf(turn);
  turn.effects.push({ kind: 'admit', path, ...(tags && { tags }) });
}

/** Watches over a remote from now on; `counts` are those to compare the next with. */
export function follow(turn: ServerTurn, remote: Remote, counts: PacketCounts | undefined): void {
  const keepalive = toMillis(turn.config.timers.keepalive);
  const source = sourceOf(remote.path.remote.ip);
  const { sources, remote: earlier } = turn.state;
  const same = earlier !== undefined && samePath(earlier.path, remote.path);
  turn.state = {
    ...turn.state,
    remote,
    pathMtu: same ? turn.state.pathMtu : unknownPath(turn, remote),
    sources:
      sources[0] === source
        ? sources
        : [source, ...sources.filter((other) => other !== source)].slice(0, KNOWN_MAX),
    counts,
    keepaliveAt: keepalive > 0 ? after(turn, keepalive) : undefined,
  };
  turn.state = { ...turn.state, pollAt: nextPoll(turn, remote) };
}

/** Nothing is known yet of what the path to a remote takes. */
function unknownPath({ config }: ServerTurn, { path }: Remote): PathMtu {
  return listening(pathSizes(familyOf(path.remote.ip), config.ipv6Inside));
}

/** Goes back to what was admitted before, after an `admit` failed. */
export function takeBack(turn: ServerTurn, path: Path): void {
  const { remote, before } = turn.state;
  if (remote === undefined || !samePath(remote.path, path)) {
    // What the next admission would go back to: the plane never carried it.
    if (before?.remote && samePath(before.remote.path, path))
      turn.state = { ...turn.state, before: { ...before, remote: undefined } };
    return;
  }
  const fallback = before && !isDue(turn, before.until) ? before.remote : undefined;
  const attempt = (before?.attempt ?? 0) + 1;
  const at = after(turn, backoff(attempt, drawSpread(turn)));
  // One with tags that nothing is left of begins by a new handshake.
  const retry = fallback || !isTagged(turn.state) ? { remote, attempt, at } : undefined;
  turn.state = { ...turn.state, before: undefined, retry };
  if (fallback) follow(turn, fallback, undefined);
  else unfollow(turn);
  remember(turn);
  if (!fallback) turn.effects.push({ kind: 'evict' });
  tell(turn, { kind: 'not-admitted', role: 'server', remote: path.remote, attempt });
}

function unfollow(turn: ServerTurn): void {
  turn.state = {
    ...turn.state,
    remote: undefined,
    pathMtu: LISTENING,
    counts: undefined,
    pollAt: undefined,
    keepaliveAt: undefined,
  };
  attestAnew(turn);
  endTagged(turn);
}

/** The peer is not to be here, wherever it was before; it may prove itself again. */
export function turnAway(turn: ServerTurn): void {
  turn.state = { ...turn.state, before: undefined, retry: undefined };
  if (turn.state.remote !== undefined) unfollow(turn);
  remember(turn);
  turn.effects.push({ kind: 'evict' });
}

/** Lets the path go, on which another peer has proved itself. */
export function yieldPath(turn: ServerTurn, path: Path): void {
  const { remote, retry } = turn.state;
  if (retry && samePath(retry.remote.path, path)) turn.state = { ...turn.state, retry: undefined };
  if (remote === undefined || !samePath(remote.path, path)) return;
  unfollow(turn);
  turn.state = { ...turn.state, before: undefined };
  remember(turn);
  turn.effects.push({ kind: 'evict' });
  tell(turn, { kind: 'displaced', role: 'server', remote: path.remote });
}

/** Notes a sign of life of the admitted remote, of now or of `at`. */
export function hear(turn: ServerTurn, remote: Remote, at: Instant = turn.now): void {
  turn.state = { ...turn.state, remote: { ...remote, heard: at, expired: false } };
  if (remote.expired) {
    tell(turn, backEvent(turn, remote));
  }
  const gap = Math.min(REMEMBER_GAP, toMillis(turn.config.timers.connectionIdle) / 2);
  if (remote.expired || turn.now.monotonic - turn.state.rememberedAt >= gap) {
    remember(turn, 'lazily');
  }
}

/** A peer that had expired is back. */
export function backEvent(turn: ServerTurn, { path, heard }: Remote): EventOf<'back'> {
  const silence = toSeconds(millis(turn.now.monotonic - heard.monotonic));
  return { kind: 'back', remote: path.remote, silence };
}

/** Has the remote and the replay memory written down. */
export function remember(turn: ServerTurn, how: 'lazily' | 'durably' = 'durably'): void {
  turn.state = { ...turn.state, rememberedAt: turn.now.monotonic };
  const memory = memoryOf(turn.state, turn.scheme.mark());
  turn.effects.push({ kind: 'remember', memory, ...(how === 'lazily' && { lazy: true }) });
}

/** What is written down of a server's state; `peer` marks the configured proof. */
export function memoryOf({ remote, replay, secured }: ServerState, peer: string): SessionMemory {
  return {
    remote: remote && {
      path: remote.path,
      authenticatedAt: remote.authenticated.unix,
      lastHeardAt: remote.heard.unix,
    },
    replay,
    peer,
    ...(secured && { secured }),
  };
}

/**
 * Counters tell whether data came from the remote: by the time that they name, or by comparison with
 * the last ones, of which the first after an `admit` only start the count.
 */
export function compareCounters(
  turn: ServerTurn,
  counts: PacketCounts,
  heardAt: Millis | undefined,
): void {
  const { remote, counts: last } = turn.state;
  if (remote === undefined) return;
  const timed = heardAt !== undefined;
  turn.state = { ...turn.state, counts: timed ? undefined : counts, timed };
  if (timed) {
    if (heardAt > 0 && heardAt > remote.heard.monotonic)
      hear(turn, remote, pastInstant(turn.now, heardAt));
    turn.state = { ...turn.state, pollAt: nextPoll(turn, turn.state.remote ?? remote) };
  } else if (last && counts.rxPackets > last.rxPackets) hear(turn, remote);
}

/**
 * A monotonic time of the past on both clocks. In whole milliseconds as `now`, and not before the time
 * itself: told again, it must not pass for a later one.
 */
function pastInstant(now: Instant, monotonic: Millis): Instant {
  const age = Math.max(0, Math.floor(now.monotonic - monotonic));
  return { monotonic: millis(now.monotonic - age), unix: millis(now.unix - age) };
}

/** Lets a remote go that has run out. */
export function forget(turn: ServerTurn, remote: Remote): void {
  unfollow(turn);
  // Nobody who has run out comes back by what is on the disk: the eviction need not wait for it.
  remember(turn, 'lazily');
  turn.effects.push({ kind: 'evict' });
  tell(turn, { kind: 'ran-out', remote: remote.path.remote });
}

/** When a connection without further signs of life has expired. */
export function expiresAt(config: SessionConfig, remote: Remote): Millis {
  return millis(remote.heard.monotonic + toMillis(config.timers.connectionIdle));
}

/** When a remote is forgotten if nothing more is heard; undefined = never. */
export function runsOutAt(config: SessionConfig, remote: Remote): Millis | undefined {
  const lifetime = toMillis(config.timers.authLifetime);
  return lifetime === 0 ? undefined : millis(expiresAt(config, remote) + lifetime);
}

/**
 * When to read the counters next: regularly, and once shortly before the end. Where they say when
 * data last came, only shortly before a silence would decide something.
 */
export function nextPoll(turn: ServerTurn, remote: Remote): Millis | undefined {
  if (turn.state.timed) {
    const decision = remote.expired
      ? runsOutAt(turn.config, remote)
      : expiresAt(turn.config, remote);
    const at = decision === undefined ? undefined : millis(decision - POLL_LEAD);
    return isDue(turn, at) ? undefined : at;
  }
  const interval = pollInterval(toMillis(turn.config.timers.connectionIdle));
  const next = after(turn, remote.expired ? POLL_MAX : interval);
  const end = runsOutAt(turn.config, remote);
  const last = end === undefined ? next : millis(end - POLL_LEAD);
  return last > turn.now.monotonic && last < next ? last : next;
}

/** A unix time of the past on both clocks; one in the future (the clock was set back) is now. */
export function instantOf(unix: Millis, now: Instant): Instant {
  const age = Math.max(0, now.unix - unix);
  return { monotonic: millis(now.monotonic - age), unix: millis(now.unix - age) };
}

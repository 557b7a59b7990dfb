/** What both roles do about the size of the path. Rules in path-mtu.ts. */
import { IPV6_MIN_MTU } from '../wire/ipv6.ts';
import type { TroubleOf } from '../events/trouble.ts';
import { TAG_LENGTH } from '../tag/layout.ts';
import { millis, type Millis } from '../units.ts';
import { IPV6_OFF_AFTER } from './path-mtu-limits.ts';
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

/** What an inner packet may be of at most, as far as this side knows; undefined = nothing is known. */
function known(state: SessionState): number | undefined {
  const { pathMtu } = state;
  const sizes = [pathLimit(pathMtu), pathMtu.ceiling].filter((size) => size !== undefined);
  return sizes.length === 0 ? undefined : Math.min(...sizes) - tagRoom(state);
}

/** What the tag takes of a packet. */
function tagRoom({ secure: { current } }: SessionState): number {
  return current === undefined || current.level === 'none' ? 0 : TAG_LENGTH;
}

/**
 * IPv6 inside needs 1280 bytes (RFC 8200, section 5): on a path that takes less the plane carries none to
 * this peer. Said where that lasts, and when it is over; without a path nothing is said.
 */
export function watchIpv6<State extends SessionState>(turn: Turn<State>, hasPath: boolean): void {
  const { ipv6Off } = turn.state;
  const mtu = known(turn.state);
  if (!turn.config.ipv6Inside || mtu === undefined || mtu >= IPV6_MIN_MTU) {
    if (ipv6Off === undefined) return;
    turn.state = { ...turn.state, ipv6Off: undefined };
    if (ipv6Off.told && hasPath) tell(turn, { kind: 'ipv6-on', mtu });
    return;
  }
  if (ipv6Off?.mtu !== mtu) {
    const since = ipv6Off?.since ?? turn.now.monotonic;
    turn.state = { ...turn.state, ipv6Off: { since, told: ipv6Off?.told ?? false, mtu } };
  }
  if (!isDue(turn, ipv6OffAt(turn.state))) return;
  turn.state = { ...turn.state, ipv6Off: { since: turn.now.monotonic, told: true, mtu } };
  tell(turn, { kind: 'trouble', trouble: { kind: 'ipv6-off', mtu } });
}

/** When it is time to say that IPv6 is off; undefined = it is not, or was said. */
export function ipv6OffAt({ ipv6Off }: SessionState): Millis | undefined {
  return ipv6Off && !ipv6Off.told ? millis(ipv6Off.since + IPV6_OFF_AFTER) : undefined;
}

/** That IPv6 is off, where that was said. */
export function ipv6Trouble({ ipv6Off }: SessionState): TroubleOf<'ipv6-off'> | undefined {
  return ipv6Off?.told === true ? { kind: 'ipv6-off', mtu: ipv6Off.mtu } : undefined;
}

/** Tells the plane, when the limit has changed. */
export function applyLimit<State extends SessionState>(turn: Turn<State>): void {
  const limit = pathLimit(turn.state.pathMtu);
  const mtu = limit === undefined ? undefined : limit - tagRoom(turn.state);
  if (mtu === turn.state.mtuLimit) return;
  turn.state = { ...turn.state, mtuLimit: mtu };
  turn.effects.push({ kind: 'limit-mtu', mtu });
  tell(turn, { kind: 'path-mtu', role: turn.config.role, mtu });
}

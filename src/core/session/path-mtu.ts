/**
 * How large a packet the path to a peer takes. Sizes are inner bytes throughout: an authentication
 * packet padded to so many bytes of UDP payload makes an outer packet as large as an inner packet of
 * that size does. Which sizes there are is the path's family's (path-mtu-limits.ts); on another path, of
 * either family, everything begins anew.
 *
 * Theory of operation (in the spirit of RFC 8899, with which the words are shared). The route says
 * what the path may take at most, the `ceiling`. What is known beyond that comes from three sides:
 * - Probes, of a side that sends requests which are answered: a request of a size, answered by a
 *   reply of just that size, proves both directions at once. One answered by a bare packet (the
 *   first implementation's) proves the way there only; then one probe is under way at a time.
 * - The other side's report of what it has proved: it comes with each of its requests and is believed.
 * - ICMP "fragmentation needed", ICMPv6 "packet too big": believed at once where it is sane, but only for ICMP_LIFETIME, as the
 *   kernel does, and until a probe has proved it wrong: it may be forged.
 *
 * A search settles one question: does `target` pass, and if not, what does? First the target alone,
 * since most paths are whole; then rounds of the target, two sizes between what passes and what does
 * not (sizes that networks commonly have before others), and one request without padding. A probe
 * without an answer is a loss only once something else sent no earlier was answered: silence alone
 * tells of a dead peer, not of a size. A loss counts against every larger size too, an answer for every
 * smaller; REFUTING_LOSSES against a size refute it. So a link that loses packets at random costs
 * rounds, not size. Meanwhile the limit is what has been answered: traffic goes on within two rounds.
 *
 * Searches begin: when the peer first answers on a path or the ceiling changes (target: the ceiling);
 * every so often while data flows, when data has stopped coming, and when it is sent into silence
 * (target: what was proved; how a path that has shrunk without a word is found); when ICMP says that
 * the path has shrunk; and every RAISE_GAP while data flows, since a path may have grown (target: the
 * ceiling). A tunnel that nothing flows through is never probed.
 */
import { millis, type Millis } from '../units.ts';
import {
  CONFIRM_GAP,
  ICMP_GAP,
  ICMP_LIFETIME,
  pathSizes,
  type PathSizes,
  ROUND_MAX,
  SUSPECT_GAP,
} from './path-mtu-limits.ts';
import {
  beginSearch,
  ownLimit,
  pathReport,
  reach,
  verify,
  type PathMtu,
} from './path-mtu-search.ts';

export function createPathMtu(
  sizes: PathSizes,
  probing: boolean,
  ceiling: number | undefined,
): PathMtu {
  return {
    sizes,
    probing,
    ceiling,
    proved: undefined,
    reported: undefined,
    icmp: undefined,
    icmpAt: undefined,
    doubtIcmpUntil: undefined,
    search: undefined,
    probes: [],
    roundTrip: undefined,
    bareReplies: false,
    announced: undefined,
    mute: undefined,
    raiseAt: undefined,
    active: false,
    suspectedAt: undefined,
  };
}

/** A side that does not probe, and has heard nothing. Shared by all that are so. */
export function listening(sizes: PathSizes): PathMtu {
  const shared = LISTENERS.get(sizes) ?? createPathMtu(sizes, false, undefined);
  LISTENERS.set(sizes, shared);
  return shared;
}
const LISTENERS = new Map<PathSizes, PathMtu>();

/** Where there is no path. */
export const LISTENING = listening(pathSizes('ipv4', false));

/** The largest inner packet to send to the peer; undefined = what the route takes. */
export function pathLimit(state: PathMtu): number | undefined {
  const { reported, icmp } = state;
  const known = [ownLimit(state), reported, icmp?.size].filter((size) => size !== undefined);
  const least = Math.min(...known);
  return least < (reach(state) ?? Number.POSITIVE_INFINITY) ? least : undefined;
}

/** The route to the peer takes so much. */
export function setCeiling(state: PathMtu, ceiling: number | undefined): PathMtu {
  if (ceiling === state.ceiling) return state;
  const known = state.proved && ceiling !== undefined && state.proved.size <= ceiling;
  const proved = known ? state.proved : undefined;
  const next = { ...state, ceiling, proved, search: undefined, probes: [] };
  return proved ? beginSearch(next, reach(next), proved.size) : next;
}

/** An authentic request of `length` bytes came from the other side, with its report if it has one. */
export function takeRequest(
  state: PathMtu,
  request: { readonly length: number; readonly report: number | undefined },
  now: Millis,
): PathMtu {
  const { length, report } = request;
  const reported = report === undefined ? state.reported : Math.max(state.sizes.min, report);
  const { icmp } = state;
  if (icmp === undefined) return reported === state.reported ? state : { ...state, reported };
  const challengedAt = icmp.challengedAt ?? (length > icmp.size ? now : undefined);
  const answered = challengedAt !== undefined && now - challengedAt > ROUND_MAX;
  const refuted = answered && reported !== undefined && reported > icmp.size;
  return { ...state, reported, icmp: refuted ? undefined : { ...icmp, challengedAt } };
}

/** ICMP says that the path takes `size` (undefined: less than was sent, not how much). */
export function takeTooBig(state: PathMtu, size: number | undefined, now: Millis): PathMtu {
  const before = pathLimit(state) ?? state.ceiling;
  const { icmpAt, doubtIcmpUntil, sizes } = state;
  if (icmpAt !== undefined && now - icmpAt < ICMP_GAP) return state;
  const said = size ?? sizes.common.findLast((common) => before !== undefined && common < before);
  if (said === undefined || said < sizes.min || said >= (before ?? Infinity)) return state;
  const believed = { size: said, until: millis(now + ICMP_LIFETIME), challengedAt: undefined };
  const doubted = doubtIcmpUntil !== undefined && now < doubtIcmpUntil;
  const next: PathMtu = { ...state, icmp: doubted ? state.icmp : believed, icmpAt: now };
  return state.proved && !state.search ? verify(next) : next;
}

/**
 * What the counters say of data since they were last read. Data that has stopped coming may have
 * become too big for the path.
 */
export function takeTraffic(
  state: PathMtu,
  traffic: { readonly received: boolean; readonly sent: boolean },
  now: Millis,
): PathMtu {
  const { proved, search, raiseAt, suspectedAt } = state;
  const next: PathMtu = { ...state, active: state.active || traffic.received };
  if (proved === undefined || search !== undefined) return next;
  const stopped = state.active && !traffic.received;
  if (stopped && (suspectedAt === undefined || now - suspectedAt >= SUSPECT_GAP)) {
    return verify({ ...next, suspectedAt: now, active: false });
  }
  if (!next.active && !traffic.sent) return next;
  const larger = reach(next);
  if (larger !== undefined && proved.size < larger && raiseAt !== undefined && raiseAt <= now) {
    return beginSearch(next, larger, proved.size);
  }
  return now - proved.at < CONFIRM_GAP ? next : verify(next);
}

/** When to run again; undefined = nothing is to be timed. */
export function pathMtuWakeAt(state: PathMtu): Millis | undefined {
  const { search, icmp } = state;
  const news = search === undefined && pathReport(state) !== state.announced;
  const now = news || (search && search.until === undefined) ? millis(0) : undefined;
  const times = [now, search?.until, icmp?.until].filter((at) => at !== undefined);
  return times.length === 0 ? undefined : millis(Math.min(...times));
}

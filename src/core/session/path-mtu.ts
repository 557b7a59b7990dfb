/**
 * How large a packet the path to a peer takes. Sizes are inner bytes throughout: an authentication
 * packet padded to so many bytes of UDP payload makes an outer packet as large as an inner packet of
 * that size does.
 *
 * Theory of operation (in the spirit of RFC 8899, with which the words are shared). The route says
 * what the path may take at most, the `ceiling`. What is known beyond that comes from three sides:
 * - Probes, of a side that sends requests which are answered: a request of a size, answered by a
 *   reply of just that size, proves both directions at once. One answered by a bare packet (the
 *   first implementation's) proves the way there only; then one probe is under way at a time.
 * - The other side's report of what it has proved: it comes with each of its requests and is believed.
 * - ICMP "fragmentation needed": believed at once where it is sane, but only for ICMP_LIFETIME, as the
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
  COMMON_MTUS,
  CONFIRM_GAP,
  FALSE_ALARM_GAP,
  ICMP_GAP,
  ICMP_LIFETIME,
  PATH_MTU_MIN,
  PROBE_MAX,
  PROBE_RESOLUTION,
  PROBE_SPACING,
  RAISE_GAP,
  REFUTING_LOSSES,
  ROUND_MAX,
  ROUND_MIN,
  ROUND_UNKNOWN,
  SILENT_ROUNDS_MAX,
  SUSPECT_GAP,
} from './path-mtu-limits.ts';

/** A request without padding, as a size: it asks whether the peer answers at all, and tells it our report. */
export const UNPADDED = 0;

/**
 * A verified reply: `exact`, as long as the request (of those not shorter than PATH_MTU_MIN, the length
 * tells which), or `bare`, a packet without a trailer, to one of those that were sent last.
 */
export type Answer =
  { readonly kind: 'exact'; readonly length: number } | { readonly kind: 'bare' };

/** One probe under way. */
type Probe = { readonly size: number; readonly at: Millis };

/** A search under way. */
type Search = {
  /** The largest size in question. */
  readonly target: number;
  /** The largest size that passes, or may be taken to. */
  readonly low: number;
  /** Sizes that were lost, each as often as it was; none below `low`. */
  readonly losses: readonly number[];
  /** Probes of ended rounds since which nothing was answered; at most those of SILENT_ROUNDS_MAX rounds. */
  readonly unproved: readonly Probe[];
  /** When the newest of the probes that were answered was sent. */
  readonly answeredAt: Millis | undefined;
  readonly round: number;
  /** When the round ends; undefined = the first is to begin. */
  readonly until: Millis | undefined;
  /** Rounds on end without any answer. */
  readonly silent: number;
};

/** What ICMP said. */
type Icmp = {
  readonly size: number;
  readonly until: Millis;
  /** When a larger request of the other side first came since: its answer puts ICMP to the proof. */
  readonly challengedAt: Millis | undefined;
};

export type PathMtu = {
  /** Whether this side probes. */
  readonly probing: boolean;
  /** What the route takes; undefined = not known yet: then nothing is probed. */
  readonly ceiling: number | undefined;
  /** The largest size that was answered, and when last; undefined = none was. */
  readonly proved: { readonly size: number; readonly at: Millis } | undefined;
  /** What the other side has said of its probes. */
  readonly reported: number | undefined;
  readonly icmp: Icmp | undefined;
  readonly icmpAt: Millis | undefined;
  /** Until then ICMP is verified before it is believed: the last was proved wrong. */
  readonly doubtIcmpUntil: Millis | undefined;
  readonly search: Search | undefined;
  /** Probes of the round that have no answer yet; at most four. */
  readonly probes: readonly Probe[];
  /** Smoothed time from a probe to its answer. */
  readonly roundTrip: Millis | undefined;
  /** Whether this peer answers with bare packets whatever it was sent. */
  readonly bareReplies: boolean;
  /** The report that went out last. */
  readonly announced: number | undefined;
  /** Why nothing can be proved; undefined = it can, or that is not known yet. */
  readonly mute: 'silent' | 'padding' | undefined;
  readonly raiseAt: Millis | undefined;
  /** Whether data came since the last proof. */
  readonly active: boolean;
  readonly suspectedAt: Millis | undefined;
};

export function createPathMtu(probing: boolean, ceiling: number | undefined): PathMtu {
  return {
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

/** The largest inner packet to send to the peer; undefined = what the route takes. */
export function pathLimit(state: PathMtu): number | undefined {
  const { reported, icmp } = state;
  const known = [ownLimit(state), reported, icmp?.size].filter((size) => size !== undefined);
  const least = Math.min(...known);
  return least < (reach(state) ?? Number.POSITIVE_INFINITY) ? least : undefined;
}

/** The largest size that is probed: a path that passes it counts as whole. */
function reach({ ceiling }: PathMtu): number | undefined {
  return ceiling === undefined ? undefined : Math.min(ceiling, PROBE_MAX);
}

/** What to tell the other side: the largest size proved; undefined = nothing is yet. */
export function pathReport(state: PathMtu): number | undefined {
  return state.proved === undefined ? undefined : ownLimit(state);
}

/** What own probes allow: what was proved, unless it is in doubt. */
function ownLimit({ search, proved }: PathMtu): number | undefined {
  if (search && search.losses.length > 0) return search.low;
  return proved?.size;
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
  const reported = report === undefined ? state.reported : Math.max(PATH_MTU_MIN, report);
  const { icmp } = state;
  if (icmp === undefined) return { ...state, reported };
  const challengedAt = icmp.challengedAt ?? (length > icmp.size ? now : undefined);
  const answered = challengedAt !== undefined && now - challengedAt > ROUND_MAX;
  const refuted = answered && reported !== undefined && reported > icmp.size;
  return { ...state, reported, icmp: refuted ? undefined : { ...icmp, challengedAt } };
}

/** ICMP says that the path takes `size` (undefined: less than was sent, not how much). */
export function takeTooBig(state: PathMtu, size: number | undefined, now: Millis): PathMtu {
  const before = pathLimit(state) ?? state.ceiling;
  const { icmpAt, doubtIcmpUntil } = state;
  if (icmpAt !== undefined && now - icmpAt < ICMP_GAP) return state;
  const said = size ?? COMMON_MTUS.findLast((common) => before !== undefined && common < before);
  if (said === undefined || said < PATH_MTU_MIN || said >= (before ?? Infinity)) return state;
  const believed = { size: said, until: millis(now + ICMP_LIFETIME), challengedAt: undefined };
  const doubted = doubtIcmpUntil !== undefined && now < doubtIcmpUntil;
  const next: PathMtu = { ...state, icmp: doubted ? state.icmp : believed, icmpAt: now };
  return state.proved && !state.search ? verify(next) : next;
}

/** A verified reply came; the first one on a path begins the first search. */
export function takeAnswer(state: PathMtu, answer: Answer, now: Millis): PathMtu {
  if (!state.probing || state.ceiling === undefined) return state;
  if (state.proved === undefined && state.search === undefined) {
    return beginSearch({ ...state, mute: undefined }, reach(state), PATH_MTU_MIN);
  }
  const probe = answeredProbe(state, answer);
  if (probe === undefined) return state;
  const heard: PathMtu = {
    ...state,
    bareReplies: state.bareReplies || (answer.kind === 'bare' && probe.size !== UNPADDED),
    roundTrip: smooth(state.roundTrip, millis(now - probe.at)),
    probes: state.probes.filter((other) => other !== probe),
  };
  return settle(proveSize(validateLosses(heard, probe), probe.size, now), now);
}

/** The probe that a reply answers: the one of its size; a bare one answers the only one under way. */
function answeredProbe({ probes }: PathMtu, answer: Answer): Probe | undefined {
  if (answer.kind === 'bare') return probes.length === 1 ? probes[0] : undefined;
  const wanted = answer.length < PATH_MTU_MIN ? UNPADDED : answer.length;
  return probes.find(({ size }) => size === wanted);
}

function smooth(before: Millis | undefined, sample: Millis): Millis {
  return before === undefined ? sample : millis(before + (sample - before) / 4);
}

/** What was lost before something sent no earlier was answered is lost for good. */
function validateLosses(state: PathMtu, answered: Probe): PathMtu {
  const { search } = state;
  if (search === undefined) return state;
  const answeredAt = millis(Math.max(search.answeredAt ?? 0, answered.at));
  return { ...state, search: sortLosses({ ...search, answeredAt, silent: 0 }) };
}

function sortLosses(search: Search): Search {
  const { answeredAt, unproved, low } = search;
  if (answeredAt === undefined) return search;
  const lost = unproved.filter(({ at, size }) => at <= answeredAt && size > low);
  return {
    ...search,
    losses: [...search.losses, ...lost.map(({ size }) => size)],
    unproved: unproved.filter(({ at }) => at > answeredAt),
  };
}

function proveSize(state: PathMtu, size: number, now: Millis): PathMtu {
  const { search, proved } = state;
  if (size === UNPADDED) return state;
  const more = proved === undefined || size >= proved.size;
  const next: PathMtu = more ? { ...state, proved: { size, at: now }, active: false } : state;
  if (search === undefined) return next;
  const low = Math.max(search.low, size);
  const losses = search.losses.filter((lost) => lost > low);
  const unproved = search.unproved.filter((probe) => probe.size > low);
  return { ...next, search: { ...search, low, losses, unproved } };
}

/** Ends the search when its question is settled. */
function settle(state: PathMtu, now: Millis): PathMtu {
  const { search, icmp, proved } = state;
  if (search === undefined) return state;
  const passes = search.low >= search.target;
  if (!passes && refutedFrom(search) - search.low > PROBE_RESOLUTION) return state;
  // Where no size was ever answered it is the padding that the peer does not take.
  if (proved === undefined) return giveUp(state, 'padding');
  const wrong = passes && icmp !== undefined && search.target > icmp.size;
  return {
    ...state,
    search: undefined,
    probes: [],
    proved: { size: search.low, at: now },
    active: false,
    mute: undefined,
    // What probes have settled supersedes what ICMP said.
    icmp: undefined,
    doubtIcmpUntil: wrong ? millis(now + FALSE_ALARM_GAP) : state.doubtIcmpUntil,
    raiseAt: millis(now + RAISE_GAP),
  };
}

/** What was known stays. Where nothing was, the peer's next answer begins anew. */
function giveUp(state: PathMtu, mute: PathMtu['mute']): PathMtu {
  return { ...state, search: undefined, probes: [], active: false, mute };
}

/** The smallest size that counts as too big. */
function refutedFrom({ losses, target }: Search): number {
  return losses.toSorted((a, b) => a - b)[REFUTING_LOSSES - 1] ?? target + 1;
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

/** Asks whether what was proved still passes. */
function verify(state: PathMtu): PathMtu {
  return beginSearch(state, state.proved?.size, PATH_MTU_MIN);
}

function beginSearch(state: PathMtu, target: number | undefined, low: number): PathMtu {
  if (!state.probing || target === undefined || low >= target) return state;
  const search: Search = {
    target,
    low,
    losses: [],
    unproved: [],
    answeredAt: undefined,
    round: 0,
    until: undefined,
    silent: 0,
  };
  return { ...state, search, probes: [] };
}

/** When to run again; undefined = nothing is to be timed. */
export function pathMtuWakeAt(state: PathMtu): Millis | undefined {
  const { search, icmp } = state;
  const news = search === undefined && pathReport(state) !== state.announced;
  const now = news || (search && search.until === undefined) ? millis(0) : undefined;
  const times = [now, search?.until, icmp?.until].filter((at) => at !== undefined);
  return times.length === 0 ? undefined : millis(Math.min(...times));
}

/** Does whatever is due; `probes` are the sizes to send now, in this order. */
export function runPathMtu(
  state: PathMtu,
  now: Millis,
): { readonly state: PathMtu; readonly probes: readonly number[] } {
  const { icmp } = state;
  const next = icmp && icmp.until <= now ? { ...state, icmp: undefined } : state;
  if (next.search === undefined) return announce(next);
  if ((next.search.until ?? now) > now) return { state: next, probes: [] };
  const settled = next.search.round === 0 ? next : settle(endRound(next, next.search), now);
  return settled.search ? beginRound(settled, settled.search, now) : announce(settled);
}

/** Tells the other side what is proved, at once when that has changed. */
function announce(state: PathMtu): ReturnType<typeof runPathMtu> {
  const report = pathReport(state);
  if (report === state.announced) return { state, probes: [] };
  return { state: { ...state, announced: report }, probes: report === undefined ? [] : [UNPADDED] };
}

/** Probes that have no answer are lost, or wait until it is known that the peer answers at all. */
function endRound(state: PathMtu, search: Search): PathMtu {
  const unproved = [...search.unproved, ...state.probes];
  return {
    ...state,
    probes: [],
    search: sortLosses({ ...search, unproved, silent: search.silent + 1 }),
  };
}

function beginRound(state: PathMtu, search: Search, now: Millis): ReturnType<typeof runPathMtu> {
  if (search.silent > SILENT_ROUNDS_MAX) return announce(giveUp(state, 'silent'));
  const sizes = roundSizes(state, search);
  const until = millis(now + roundTime(state, sizes.length));
  const probes = sizes.map((size): Probe => ({ size, at: now }));
  const announced = pathReport(state);
  return {
    state: { ...state, announced, probes, search: { ...search, round: search.round + 1, until } },
    probes: sizes,
  };
}

function roundTime({ roundTrip }: PathMtu, probes: number): Millis {
  const patience = roundTrip === undefined ? ROUND_UNKNOWN : 3 * roundTrip;
  return millis(Math.min(ROUND_MAX, Math.max(ROUND_MIN, patience, probes * PROBE_SPACING)));
}

function roundSizes({ bareReplies }: PathMtu, search: Search): readonly number[] {
  const { target, low, round, unproved } = search;
  if (round === 0) return [target];
  const high = refutedFrom(search);
  const open = high > target ? [target] : [];
  const between = sizesBetween(low, Math.min(high, target));
  if (!bareReplies) return [...open, ...between.toReversed(), UNPADDED];
  // One at a time, and after each that was lost one without padding.
  const sizes = [...open, ...between];
  return [unproved.length > 0 ? UNPADDED : (sizes[round % sizes.length] ?? UNPADDED)];
}

/** Up to two sizes, both ends excluded: common ones while there are any, else the next and the middle. */
function sizesBetween(low: number, high: number): readonly number[] {
  const common = COMMON_MTUS.filter((size) => size > low && size < high);
  if (common.length > 0) {
    const third = Math.floor(common.length / 3);
    const picked = [common[third], common[common.length - 1 - third]];
    return [...new Set(picked.filter((size) => size !== undefined))];
  }
  if (high - low <= PROBE_RESOLUTION) return [];
  const middle = Math.floor((low + high) / 2);
  return [...new Set([low + PROBE_RESOLUTION, middle])].filter((size) => size < high);
}

/** Searches for the size that a path takes: rounds of probes and what becomes of them. Rules in path-mtu.ts. */
import { millis, type Millis } from '../units.ts';
import {
  FALSE_ALARM_GAP,
  PATH_MTU_MIN,
  PROBE_RESOLUTION,
  type PathSizes,
  PROBE_SPACING,
  RAISE_GAP,
  REFUTING_LOSSES,
  ROUND_MAX,
  ROUND_MIN,
  ROUND_UNKNOWN,
  SILENT_ROUNDS_MAX,
} from './path-mtu-limits.ts';

/** A request without padding, as a size: it asks whether the peer answers at all, and tells it our report. */
export const UNPADDED = 0;

/** The size below all that are probed: what passes where nothing is known to. */
export function nothingProved({ sizes }: PathMtu): number {
  return sizes.min - 1;
}

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
  readonly sizes: PathSizes;
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

/** The largest size that is probed: a path that passes it counts as whole. */
export function reach({ ceiling, sizes }: PathMtu): number | undefined {
  return ceiling === undefined ? undefined : Math.min(ceiling, sizes.max);
}

/** What to tell the other side: the largest size proved; undefined = nothing is yet. */
export function pathReport(state: PathMtu): number | undefined {
  return state.proved === undefined ? undefined : ownLimit(state);
}

/** What own probes allow: what was proved, unless it is in doubt. Less than IPv6 needs takes it off: that is refuted first. */
export function ownLimit({ search, proved, sizes }: PathMtu): number | undefined {
  if (search === undefined || search.losses.length === 0) return proved?.size;
  const { min, held } = sizes;
  return Math.max(search.low, refutedFrom(search) > held ? held : min);
}

/** Asks whether what was proved still passes. */
export function verify(state: PathMtu): PathMtu {
  return beginSearch(state, state.proved?.size, nothingProved(state));
}

export function beginSearch(state: PathMtu, target: number | undefined, low: number): PathMtu {
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

/** A verified reply came; the first one on a path begins the first search. */
export function takeAnswer(state: PathMtu, answer: Answer, now: Millis): PathMtu {
  if (!state.probing || state.ceiling === undefined) return state;
  const known = { ...state, bareReplies: answer.kind === 'bare' };
  if (state.proved === undefined && state.search === undefined) {
    const wait = state.mute === 'padding' && state.raiseAt !== undefined && now < state.raiseAt;
    return wait ? known : beginSearch(known, reach(state), nothingProved(state));
  }
  const probe = answeredProbe(state, answer);
  if (probe === undefined) return state;
  const heard: PathMtu = {
    ...known,
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
  if (proved === undefined) return giveUp(state, 'padding', now);
  const wrong = passes && icmp !== undefined && search.target > icmp.size;
  return {
    ...state,
    search: undefined,
    probes: [],
    proved: { size: Math.max(search.low, state.sizes.min), at: now },
    active: false,
    mute: undefined,
    // What probes have settled supersedes what ICMP said.
    icmp: undefined,
    doubtIcmpUntil: wrong ? millis(now + FALSE_ALARM_GAP) : state.doubtIcmpUntil,
    // Larger sizes have been tried just now, unless what was known was only confirmed.
    raiseAt: passes && search.target !== reach(state) ? state.raiseAt : millis(now + RAISE_GAP),
  };
}

/** What was known stays. Where nothing was, the peer's next answer begins anew. */
function giveUp(state: PathMtu, mute: PathMtu['mute'], now: Millis): PathMtu {
  const raiseAt = millis(now + RAISE_GAP);
  return { ...state, search: undefined, probes: [], active: false, mute, raiseAt };
}

/** The smallest size that counts as too big. */
function refutedFrom({ losses, target }: Search): number {
  return losses.toSorted((a, b) => a - b)[REFUTING_LOSSES - 1] ?? target + 1;
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
  if (search.silent > SILENT_ROUNDS_MAX) return announce(giveUp(state, 'silent', now));
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

function roundSizes(
  { bareReplies, sizes: { common } }: PathMtu,
  search: Search,
): readonly number[] {
  const { target, low, round, unproved } = search;
  if (round === 0) return [target];
  const high = refutedFrom(search);
  const open = high > target ? [target] : [];
  const between = sizesBetween(common, low, Math.min(high, target));
  if (!bareReplies) return [...open, ...between.toReversed(), UNPADDED];
  // One at a time, and after each that was lost one without padding.
  const sizes = [...open, ...between];
  return [unproved.length > 0 ? UNPADDED : (sizes[round % sizes.length] ?? UNPADDED)];
}

/**
 * Up to two sizes, both ends excluded: common ones while there are any (a small one, which lets traffic
 * go on soon, and a larger one), else the next and the middle.
 */
function sizesBetween(common: readonly number[], low: number, high: number): readonly number[] {
  const within = common.filter((size) => size > low && size < high);
  if (within.length > 0) {
    const picked = [
      within[Math.floor(within.length / 4)],
      within[Math.floor((within.length * 2) / 3)],
    ];
    return [...new Set(picked.filter((size) => size !== undefined))];
  }
  if (high - low <= PROBE_RESOLUTION) return [];
  const middle = Math.floor((low + high) / 2);
  return [...new Set([low + PROBE_RESOLUTION, middle])].filter((size) => size < high);
}

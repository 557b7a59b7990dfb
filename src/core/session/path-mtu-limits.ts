/** Every limit of path MTU discovery, with its unit; sizes are inner bytes. What they are for: path-mtu.ts. */
import type { Family } from '../addr.ts';
import { millis } from '../units.ts';
import { IPV6_MIN_MTU } from '../wire/ipv6.ts';
import { overheadOf } from '../wire/overhead.ts';

/** Every size that a path may be of, and which are tried first. */
export type PathSizes = {
  /** What every path is taken to carry: smaller limits are refused, from whomever they come. */
  readonly min: number;
  /** The limit does not fall below this before a search has refuted it: IPv6 inside needs 1280. */
  readonly held: number;
  /** Larger sizes are not probed. */
  readonly max: number;
  /** Sizes that networks commonly leave, ascending. */
  readonly common: readonly number[];
};

/** What every path of IPv4 is taken to carry; no path of IPv6 carries less. */
export const PATH_MTU_MIN = 576;

/**
 * What networks commonly leave of outer packets, ascending: X.25 and SLIP plateaus (RFC 1191, section 7.1),
 * IPv6's minimum, WireGuard in it, VXLAN, clouds (1460), tunnels (1480), PPPoE (1492), Ethernet, jumbo frames.
 */
const COMMON_OUTER: readonly number[] = [
  1006, 1280, 1400, 1420, 1450, 1460, 1480, 1492, 1500, 2002, 4352, 9000,
];
/** Jumbo frames are the largest that a way between hosts has. */
const OUTER_MAX = 9000;
/** What every link of IPv6 carries (RFC 8200, section 5): less is not believed (RFC 8201, section 4). */
const IPV6_OUTER_MIN = IPV6_MIN_MTU;

/** Of paths by their family, for tunnels that carry IPv6 inside (1280 decides whether they can) and for others. */
const SIZES: Readonly<
  Record<Family, { readonly plain: PathSizes; readonly ipv6Inside: PathSizes }>
> = {
  ipv4: bothOf('ipv4', PATH_MTU_MIN),
  ipv6: bothOf('ipv6', IPV6_OUTER_MIN - overheadOf('ipv6')),
};

function bothOf(family: Family, min: number): (typeof SIZES)[Family] {
  const left = COMMON_OUTER.map((outer) => outer - overheadOf(family));
  const common = [...new Set([min, ...left.filter((size) => size > min)])];
  const max = OUTER_MAX - overheadOf(family);
  const withIpv6 = [...common, IPV6_MIN_MTU].toSorted((a, b) => a - b);
  return {
    plain: { min, held: min, max, common },
    ipv6Inside: { min, held: IPV6_MIN_MTU, max, common: withIpv6 },
  };
}

/** The sizes of a path whose outer packets are of this family. */
export function pathSizes(outer: Family, ipv6Inside: boolean): PathSizes {
  return ipv6Inside ? SIZES[outer].ipv6Inside : SIZES[outer].plain;
}

/** IPv6 that has been off for so long is told of: a search that goes on may bring it back. */
export const IPV6_OFF_AFTER = millis(5000);

/** A search ends when it knows the size so closely; sizes that are not common are rare. */
export const PROBE_RESOLUTION = 8;
/** Probes lost, of a size or smaller ones, that refute it (MAX_PROBES of RFC 8899, section 5.1.2). */
export const REFUTING_LOSSES = 3;

/** A round lasts so long for each probe in it: what a peer answers (OWN_RATE) is not exceeded. */
export const PROBE_SPACING = millis(250);
/** A round lasts three round trips, within these; and so long where no round trip is known. */
export const ROUND_MIN = millis(300);
export const ROUND_MAX = millis(3000);
export const ROUND_UNKNOWN = millis(1000);
/** Rounds on end without any answer after which a search is given up. */
export const SILENT_ROUNDS_MAX = 3;

/** While data flows, what was proved is proved again so often. */
export const CONFIRM_GAP = millis(30_000);
/** Data that stopped coming causes a search so often at most. */
export const SUSPECT_GAP = millis(3000);
/** While data flows, larger sizes are tried again so often (PMTU_RAISE_TIMER of RFC 8899). */
export const RAISE_GAP = millis(600_000);

/** What ICMP said is forgotten after so long, as the kernel does (net.ipv4.route.mtu_expires). */
export const ICMP_LIFETIME = millis(600_000);
/** ICMP about one peer is looked at so often at most. */
export const ICMP_GAP = millis(1000);
/** After ICMP that a probe has proved wrong, further ICMP is verified before it is believed. */
export const FALSE_ALARM_GAP = millis(300_000);
/** While a path is probed, counters are read so often. */
export const TRAFFIC_POLL = millis(2000);

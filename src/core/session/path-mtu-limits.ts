/** Every limit of path MTU discovery, with its unit; sizes are inner bytes. What they are for: path-mtu.ts. */
import { millis } from '../units.ts';

/** What every path is taken to carry: smaller limits are refused, from whomever they come. */
export const PATH_MTU_MIN = 576;

/**
 * Sizes that networks commonly leave, ascending: 28 less than the MTU of IPv4's old minimum, X.25 and
 * SLIP plateaus (RFC 1191, section 7.1), IPv6's minimum, WireGuard in it, VXLAN, clouds (1460), tunnels
 * (1480), PPPoE (1492), Ethernet, jumbo frames.
 */
export const COMMON_MTUS: readonly number[] = [
  576, 978, 1252, 1372, 1392, 1422, 1432, 1452, 1464, 1472, 1974, 4324, 8972,
];

/** Larger sizes are not probed: jumbo frames are the largest that a way between hosts has. */
export const PROBE_MAX = 8972;
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

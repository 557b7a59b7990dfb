import type { OuterIp, InnerIp } from '../addr.ts';
import { seconds } from '../units.ts';
import { overheadOf } from '../wire/overhead.ts';

/** Every bound and default of the options, with its unit. */

/** `number` N counts up from these; two inner addresses for each N, one port and one alternative. */
export const FIRST_INNER_IP = '172.28.0.0' as InnerIp;
export const FIRST_LOCAL_IP_ALT = '172.29.0.0' as OuterIp;
export const FIRST_LOCAL_PORT = 10_000;
export const DEVICE_PREFIX = 'ipipou';

/**
 * Largest `number`. 172.28.0.0/16 has room for 32768 pairs of inner addresses; a larger N would
 * take addresses of 172.29.0.0/16, which are other tunnels' alternatives. Ports (to 42767), queue
 * numbers and device names then fit as well.
 */
export const NUMBER_MAX = 32_767;

/** Queue numbers that `number` follows when it is 0: 1 to this. */
export const NUMBER_FROM_QUEUE_MAX = 999;

/** Its members may see tunnels, where there is such a group. */
export const STATUS_GROUP = 'ipipou';

/** Characters of a hook's command. */
export const HOOK_MAX = 4096;

/** Characters of a peer's name. */
export const PEER_NAME_MAX = 64;
/** Private keys of a server under which session 2 is spoken: a first message is tried with each. */
export const OWN_KEYS_MAX = 8;
/** Prefixes of one peer, so that what is told of it fits one reply of the control socket. */
export const ALLOWED_IPS_MAX = 1024;

/** NFQUEUE numbers are 16 bits (struct nfgenmsg, res_id). */
export const QUEUE_NUMBER_MAX = 65_535;
/** Packets that wait for user space. */
export const QUEUE_LENGTH = 24;
export const QUEUE_LENGTH_MAX = 65_535;

/** Token bytes: what surely fits one packet of IPv4 (576), and what fits an Ethernet frame (1500). */
export const TOKEN_SAFE_BYTES = 576 - overheadOf('ipv4');
export const TOKEN_MAX_BYTES = 1500 - overheadOf('ipv4');

export const DEFAULT_SECRET = 'netprickle.com';
export const SECRET_MAX_BYTES = 1024;

export const MAX_TIME_DISCREPANCY = seconds(300);
export const CONNECTION_IDLE = seconds(120);
/** A client's, where the config is silent: most NATs keep an idle mapping for 30 s or more. */
export const KEEPALIVE = seconds(25);
export const DEAD_PEER_TIMEOUT = seconds(30);
/** Upper bound of short times: a day. */
export const DAY = 86_400;
/** Upper bound of long times: ten years of 365 days. */
export const TEN_YEARS = 315_360_000;

/** Inner MTU: every IPv4 host takes 576 (RFC 791); the outer packet's length has 16 bits, 28 are overhead. */
export const MTU_MIN = 576;
export const MTU_MAX = 65_507;

export const VERBOSITY = 2;
export const VERBOSITY_MAX = 3;

export const NFT_TABLE = 'ipipou';
/** NFT_NAME_MAXLEN of linux/netfilter/nf_tables.h is 256, with the terminating zero. */
export const NFT_NAME_MAX_BYTES = 255;
/** IFNAMSIZ of linux/if.h is 16, with the terminating zero. */
export const DEVICE_NAME_MAX_BYTES = 15;
/** RFC 1035, 2.3.4, as text. */
export const HOST_NAME_MAX = 253;

/** Services that one peer exposes, at most. */
export const EXPOSURES_MAX = 256;
/** Public addresses of one peer, at most. */
export const PUBLIC_IPS_MAX = 16;
/** Of one service: what nftables still counts one by one, and what it walks through for each new connection. */
export const EXPOSURE_RATE_MAX = 1_000_000;
export const EXPOSURE_CONNECTIONS_MAX = 65_536;
/** Routing tables and rules of `return-path`: numbers that are tried, the first first. */
export const RETURN_TABLE_FIRST = 14_800;
/** Likewise of `table auto`. */
export const ROUTING_TABLE_FIRST = 14_900;

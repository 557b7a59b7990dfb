/**
 * What bpf/abi.h says, for user space; a unit test compares the two. Names of constants and fields are
 * the header's.
 */
import type { InitKeys } from '../../../core/handshake/keys.ts';
import type { Family, OuterIp, InnerIp } from '../../../core/addr.ts';
import type { PROGRAM_RATES, Rate } from '../../../core/budgets.ts';
import { TAG_KEY_LENGTH } from '../../../core/tag/types.ts';
import type { IfIndex } from '../../../core/units.ts';
import { structLayout } from './struct-layout.ts';

export const ABI_VERSION = 4;
/** Versions whose running programs are taken over: what is taken is the same in all, but for peers over IPv6, and tags. */
export const ADOPTED_VERSIONS: readonly number[] = [1, 2, 3, ABI_VERSION];

export const CONFIG_FLAGS = {
  IPIPOU_UDP_CHECKSUM: 1,
  IPIPOU_HAS_HOSTS: 4,
  IPIPOU_HAS_PREFIXES: 8,
  IPIPOU_STRANGERS: 16,
  IPIPOU_HAS_HOSTS6: 32,
  IPIPOU_HAS_PREFIXES6: 64,
  IPIPOU_UDP_CHECKSUM6: 128,
  IPIPOU_OUTSIDE4: 256,
  IPIPOU_OUTSIDE6: 512,
  IPIPOU_INSIDE4: 1024,
  IPIPOU_INSIDE6: 2048,
  IPIPOU_TAGS: 4096,
  IPIPOU_MAC1: 8192,
} as const;

export const PEER_FLAGS = { IPIPOU_PEER_ADMITTED: 1, IPIPOU_PEER_ANY_SOURCE: 2 } as const;

/** RFC 8200, section 5. */
export const IPV6_MIN_MTU = 1280;
export const NO_PEER = 0xffff_ffff;
export const AUTH_BYTES = 192;
export const MAX_SOURCES = 4096;
export const MAX_FORMERS = 4096;
export const HINT_AT = 73;
export const HINT_TYPE = 1;
export const TAG_WORDS = 386;
export const WINDOW_WORDS = 65;
/** The first message of session 2, and where in it its mac1 is. */
export const INIT_LENGTH = 200;
export const MAC1_AT = 168;
export const CONTROL_LENGTH = 96;
export const ABOUT_ASKED = 0xffff_ffff;
export const ABOUT_PROVED = 0xffff_fffe;
export const COOKIE_PLACES = 16_384;
export const PASSED = 26_993;

/** Keys of the map of reasons, in order; the last is no refusal. */
export const REASONS = [
  'foreign-source',
  'malformed',
  'congestion',
  'peer-budget',
  'stranger-length',
  'stranger-data',
  'stranger-source',
  'stranger-all',
  'stranger-closed',
  'no-room',
  'not-ipv4',
  'no-peer',
  'too-big',
  'outer-error',
  'aside',
  'unusual',
  'no-ipv6',
  'not-ipv6',
  'untagged',
  'unknown-session',
  'level',
  'bad-tag',
  'replayed',
  'stranger-tag',
  'mac1',
  'exhausted',
  'cookie',
  'passed-up',
] as const;
export type Reason = (typeof REASONS)[number];

const RATE = { interval: 'u64', burst: 'u64' } as const;

/** Fields in order, each with its type in C. `reserved` ones are zero. */
export const STRUCTS = {
  ipipou_rate: structLayout(RATE),
  ipipou_config: structLayout({
    abi_version: 'u32',
    flags: 'u32',
    near_ifindex: 'u32',
    far_ifindex: 'u32',
    default_peer: 'u32',
    local_port: 'be16',
    near_mac: 6,
    ttl: 'u8',
    hop_limit: 'u8',
    reserved: 10,
    rate_peer: 16,
    rate_stranger_data: 16,
    rate_stranger_source: 16,
    rate_stranger_all: 16,
    rate_hint_source: 16,
    rate_hint: 16,
    rate_former: 16,
    rate_known_all: 16,
    rate_error_peer: 16,
    rate_error_all: 16,
    rate_aside: 16,
    rate_init: 16,
    rate_tag: 16,
    rate_proved: 16,
    rate_proved_source: 16,
    rate_asked: 16,
    rate_cookie: 16,
    rate_cookie_source: 16,
    mac1_key: 16,
    cookie_key: 32,
    cookie_secret: 16,
    cookie_epoch: 'u64',
    auth_lengths: AUTH_BYTES,
  }),
  ipipou_peer: structLayout({
    remote_ip: 'be32',
    remote_port: 'be16',
    inner_mtu: 'u16',
    local_ip: 'be32',
    outer_ifindex: 'u32',
    flags: 'u32',
    tags_out: 'u32',
    inner_ip: 'be32',
    tag: 'u32',
  }),
  ipipou_ip6: structLayout({ word: 16 }),
  ipipou_end6: structLayout({ remote_ip: 16, local_ip: 16, remote_port: 'be16', reserved: 'u16' }),
  ipipou_counters: structLayout({
    tx_packets: 'u64',
    tx_bytes: 'u64',
    tx_refused: 'u64',
    last_cut: 'u64',
    tag_failures: 'u64',
    replays: 'u64',
    reserved_tx: 16,
    rx_packets: 'u64',
    rx_bytes: 'u64',
    rx_refused: 'u64',
    last_heard: 'u64',
    last_super: 'u64',
    peer_bucket: 'u64',
    last_train: 'u64',
    error_bucket: 'u64',
  }),
  ipipou_tag_key: structLayout({ siphash: 16, nh: 4 * TAG_WORDS }),
  ipipou_tag_in: structLayout({
    owner: 'u32',
    type: 'u32',
    newest: 'u64',
    window: 8 * WINDOW_WORDS,
    told_at: 'u64',
    told: 'u64',
    key: TAG_KEY_LENGTH,
  }),
  ipipou_tag_out: structLayout({
    head: 'u32',
    reserved: 'u32',
    counter: 'u64',
    key: TAG_KEY_LENGTH,
  }),
  ipipou_packet: structLayout({ bytes: 2048 }),
  ipipou_roamed: structLayout({
    owner: 'u32',
    ipv6: 'u32',
    local_ip: 16,
    remote_ip: 16,
    remote_port: 'be16',
    reserved: 'u16',
    reserved2: 'u32',
  }),
  ipipou_path: structLayout({
    local_ip: 'be32',
    remote_ip: 'be32',
    remote_port: 'be16',
    reserved: 'u16',
  }),
  ipipou_path6: structLayout({ local_ip: 16, remote_ip: 16, remote_port: 'be16', reserved: 'u16' }),
  ipipou_prefix: structLayout({ length: 'u32', ip: 'be32' }),
  ipipou_prefix6: structLayout({ length: 'u32', ip: 16 }),
  ipipou_source: structLayout({ ip: 'be32', about: 'u32' }),
  ipipou_source6: structLayout({ net: 8, about: 'u32', reserved: 'u32' }),
  ipipou_net6: structLayout({ word: 8 }),
  ipipou_bucket: structLayout({ full_at: 'u64' }),
  ipipou_hint: structLayout({ full_at: 'u64', peer: 'u32', reserved: 'u32' }),
  ipipou_common: structLayout({
    bucket_data: 'u64',
    bucket_all: 'u64',
    bucket_known: 'u64',
    bucket_errors: 'u64',
    bucket_lost: 'u64',
    bucket_aside: 'u64',
    bucket_init: 'u64',
    bucket_tag: 'u64',
    bucket_proved: 'u64',
    bucket_cookie: 'u64',
    here: 'u64',
    here6: 16,
    here6_seal: 'u64',
  }),
} as const;

/**
 * What a map has room for: `fixed` is as its declaration says, `peers` and `inner` are for peers and for their
 * inner addresses. Those of IPv6 stay as small as can be in a tunnel that has none there; the last are as many
 * as the `fixed` ones of IPv4. What is for tags stays as small in a tunnel that has had none.
 */
export type Room =
  'fixed' | 'peers' | 'inner' | 'places6' | 'peers6' | 'inner6' | 'sources6' | 'tagsIn' | 'tagsOut';

type MapShape = { readonly key: number; readonly value: number; readonly room: Room };

/** What the maps are, as the kernel tells of them. */
export const MAPS = {
  ipipou_config: { key: 4, value: STRUCTS.ipipou_config.size, room: 'fixed' },
  ipipou_peers: { key: 4, value: STRUCTS.ipipou_peer.size, room: 'peers' },
  ipipou_ends6: { key: 4, value: STRUCTS.ipipou_end6.size, room: 'places6' },
  ipipou_counters: { key: 4, value: STRUCTS.ipipou_counters.size, room: 'peers' },
  ipipou_paths: { key: STRUCTS.ipipou_path.size, value: 4, room: 'peers' },
  ipipou_paths6: { key: STRUCTS.ipipou_path6.size, value: 4, room: 'peers6' },
  ipipou_hosts: { key: 4, value: 4, room: 'inner' },
  ipipou_hosts6: { key: STRUCTS.ipipou_ip6.size, value: 4, room: 'inner6' },
  ipipou_prefixes: { key: STRUCTS.ipipou_prefix.size, value: 4, room: 'inner' },
  ipipou_prefix6: { key: STRUCTS.ipipou_prefix6.size, value: 4, room: 'inner6' },
  ipipou_reasons: { key: 4, value: 8, room: 'fixed' },
  ipipou_sources: {
    ...{ key: STRUCTS.ipipou_source.size, value: STRUCTS.ipipou_bucket.size },
    room: 'fixed',
  },
  ipipou_sources6: {
    ...{ key: STRUCTS.ipipou_source6.size, value: STRUCTS.ipipou_bucket.size },
    room: 'sources6',
  },
  ipipou_formers: { key: 4, value: STRUCTS.ipipou_bucket.size, room: 'fixed' },
  ipipou_formers6: {
    ...{ key: STRUCTS.ipipou_net6.size, value: STRUCTS.ipipou_bucket.size },
    room: 'sources6',
  },
  ipipou_hints: { key: 8, value: STRUCTS.ipipou_hint.size, room: 'peers' },
  ipipou_common: { key: 4, value: STRUCTS.ipipou_common.size, room: 'fixed' },
  ipipou_tags_in: { key: 4, value: STRUCTS.ipipou_tag_in.size, room: 'tagsIn' },
  ipipou_tags_out: { key: 4, value: STRUCTS.ipipou_tag_out.size, room: 'tagsOut' },
  ipipou_owners: { key: 4, value: 4, room: 'tagsOut' },
  ipipou_places: { key: 4, value: STRUCTS.ipipou_bucket.size, room: 'fixed' },
  ipipou_roamed: { key: 0, value: 0, room: 'fixed' },
  ipipou_packet: { key: 4, value: STRUCTS.ipipou_packet.size, room: 'fixed' },
} as const satisfies Readonly<Record<string, MapShape>>;
export type MapName = keyof typeof MAPS;
export const MAP_NAMES = Object.keys(MAPS) as readonly MapName[];

export const PROGRAMS = [
  'ipipou_encap',
  'ipipou_decap_eth',
  'ipipou_decap_raw',
  'ipipou_socket',
] as const;
export type ProgramName = (typeof PROGRAMS)[number];

/** What the programs go by, besides the peers. */
export type ProgramConfig = {
  /** The tunnel device. */
  readonly near: IfIndex;
  /** The other end of its pair. */
  readonly far: IfIndex;
  /** MAC address of the near end, 6 bytes. */
  readonly nearMac: Uint8Array;
  readonly localPort: number;
  /** Of outer packets of IPv4, 1..255. */
  readonly ttl: number;
  /** And of IPv6. */
  readonly hopLimit: number;
  /** Whether outer packets carry UDP checksums: over IPv4, and over IPv6. */
  readonly udpChecksum: boolean;
  readonly udpChecksum6: boolean;
  /** Families that the port is ours in. */
  readonly outside: readonly Family[];
  /** Families that are carried. */
  readonly inside: readonly Family[];
  /** Whether packets of unknown sources go up (a server). */
  readonly strangers: boolean;
  /** Who is sent what no other peer has; undefined = nobody. */
  readonly defaultPeer: number | undefined;
  /** Whether any inner hosts, and inner prefixes, are set: what is not used is not looked up. */
  readonly hasHosts: boolean;
  readonly hasPrefixes: boolean;
  /** The same of IPv6. */
  readonly hasHosts6: boolean;
  readonly hasPrefixes6: boolean;
  /** UDP payload lengths of authentication packets, each below 1536. */
  readonly authLengths: readonly number[];
  /** Whether there is room for tags. */
  readonly tags: boolean;
  /** What first messages of session 2 are tested under; undefined = they are not. */
  readonly initKeys?: InitKeys | undefined;
  /** CLOCK_MONOTONIC where periods of cookies begin, nanoseconds; 0 by default. */
  readonly cookieEpoch?: bigint | undefined;
  readonly rates: Readonly<Record<keyof typeof PROGRAM_RATES, Rate>>;
};

/** An admitted peer; both outer addresses are of one family. */
export type ProgramPeer = {
  readonly remoteIp: OuterIp;
  readonly remotePort: number;
  readonly localIp: OuterIp;
  /** Largest inner packet, bytes. */
  readonly innerMtu: number;
  readonly outerDevice: IfIndex;
  /** Whether any inner source address is taken from it. */
  readonly anySource: boolean;
  /** One of its inner addresses, of IPv4, the commonest: its packets need no look-up. */
  readonly innerIp: InnerIp | undefined;
  /** What its packets are tagged by (the map of keys to send under); 0, the default: they carry no tags. */
  readonly tagsOut?: number | undefined;
  /** A hash of the peer's name, by which a later run knows whose slot it is; 0 by default. */
  readonly tag?: number | undefined;
};

export type ProgramCounters = {
  readonly rxPackets: bigint;
  readonly rxBytes: bigint;
  readonly rxRefused: bigint;
  readonly txPackets: bigint;
  readonly txBytes: bigint;
  readonly txRefused: bigint;
  /** CLOCK_MONOTONIC in nanoseconds when data came last; 0 = never. */
  readonly lastHeard: bigint;
  readonly tagFailures: bigint;
  readonly replays: bigint;
};

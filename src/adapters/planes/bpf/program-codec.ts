import {
  decodeInnerIpv4,
  decodeOuterIpv4,
  decodeOuterIpv6,
  encodeIp,
  encodeIpv4,
  familyOf,
  type InnerIp,
  type OuterIp,
  type Path,
  type Prefix,
} from '../../../core/addr.ts';
import { encodeU32host, getU32be, getU32host } from '../../../core/bytes.ts';
import {
  encodeTagHeader,
  levelOf,
  MAX_TAG_INDEX,
  TAG_LENGTH,
  TAG_TYPE,
} from '../../../core/tag/layout.ts';
import type { TagKey, TagLevel } from '../../../core/tag/types.ts';
import { ifIndex, port } from '../../../core/units.ts';
import type { Rate } from '../../../core/budgets.ts';
import {
  ABI_VERSION,
  AUTH_BYTES,
  CONFIG_FLAGS,
  NO_PEER,
  PEER_FLAGS,
  STRUCTS,
  type ProgramConfig,
  type ProgramCounters,
  type ProgramPeer,
} from './abi.ts';
import { encodeStruct, readBigint, readBytes, readNumber } from './struct-layout.ts';

const NANOS = 1_000_000_000;
const ANY = '0.0.0.0' as InnerIp;

/** What says which flags of a config are set. */
type Flagged = Pick<
  ProgramConfig,
  | 'udpChecksum'
  | 'udpChecksum6'
  | 'hasHosts'
  | 'hasPrefixes'
  | 'hasHosts6'
  | 'hasPrefixes6'
  | 'strangers'
  | 'outside'
  | 'inside'
  | 'tags'
  | 'initKeys'
>;

/** Flags that a config has. */
export function flagsOf(config: Flagged): number {
  return encodeFlags({
    IPIPOU_UDP_CHECKSUM: config.udpChecksum,
    IPIPOU_HAS_HOSTS: config.hasHosts,
    IPIPOU_HAS_PREFIXES: config.hasPrefixes,
    IPIPOU_STRANGERS: config.strangers,
    IPIPOU_HAS_HOSTS6: config.hasHosts6,
    IPIPOU_HAS_PREFIXES6: config.hasPrefixes6,
    IPIPOU_UDP_CHECKSUM6: config.udpChecksum6,
    IPIPOU_OUTSIDE4: config.outside.includes('ipv4'),
    IPIPOU_OUTSIDE6: config.outside.includes('ipv6'),
    IPIPOU_INSIDE4: config.inside.includes('ipv4'),
    IPIPOU_INSIDE6: config.inside.includes('ipv6'),
    IPIPOU_TAGS: config.tags,
    IPIPOU_MAC1: config.initKeys !== undefined,
  });
}

export function encodeConfig(config: ProgramConfig): Uint8Array {
  return encodeStruct(STRUCTS.ipipou_config, {
    abi_version: ABI_VERSION,
    flags: flagsOf(config),
    near_ifindex: config.near,
    far_ifindex: config.far,
    default_peer: config.defaultPeer ?? NO_PEER,
    local_port: config.localPort,
    near_mac: config.nearMac,
    ttl: config.ttl,
    hop_limit: config.hopLimit,
    rate_peer: encodeRate(config.rates.peer),
    rate_stranger_data: encodeRate(config.rates.strangerData),
    rate_stranger_source: encodeRate(config.rates.strangerSource),
    rate_stranger_all: encodeRate(config.rates.strangerAll),
    rate_hint_source: encodeRate(config.rates.hintSource),
    rate_hint: encodeRate(config.rates.hint),
    rate_former: encodeRate(config.rates.former),
    rate_known_all: encodeRate(config.rates.knownAll),
    rate_error_peer: encodeRate(config.rates.errorPeer),
    rate_error_all: encodeRate(config.rates.errorAll),
    rate_aside: encodeRate(config.rates.aside),
    rate_init: encodeRate(config.rates.init),
    rate_tag: encodeRate(config.rates.tag),
    rate_proved: encodeRate(config.rates.proved),
    rate_proved_source: encodeRate(config.rates.provedSource),
    rate_asked: encodeRate(config.rates.asked),
    rate_cookie: encodeRate(config.rates.cookie),
    rate_cookie_source: encodeRate(config.rates.cookieSource),
    ...(config.initKeys && {
      mac1_key: config.initKeys.mac1,
      cookie_key: config.initKeys.cookie,
      cookie_secret: config.initKeys.secret,
    }),
    cookie_epoch: config.cookieEpoch ?? 0n,
    auth_lengths: encodeLengths(config.authLengths),
  });
}

type ConfigFlag = keyof typeof CONFIG_FLAGS;

function encodeFlags(set: Readonly<Record<ConfigFlag, boolean>>): number {
  const names = Object.keys(CONFIG_FLAGS) as ConfigFlag[]; // of a literal
  return names.reduce((flags, name) => flags | (set[name] ? CONFIG_FLAGS[name] : 0), 0);
}

/** The version of the programs that a config was written for. */
export function decodeAbiVersion(config: Uint8Array): number {
  return readNumber(STRUCTS.ipipou_config, config, 'abi_version');
}

function encodeRate({ perSecond, burst }: Rate): Uint8Array {
  const interval = BigInt(Math.round(NANOS / perSecond));
  return encodeStruct(STRUCTS.ipipou_rate, { interval, burst: interval * BigInt(burst) });
}

function encodeLengths(lengths: readonly number[]): Uint8Array {
  const bits = new Uint8Array(AUTH_BYTES);
  for (const length of lengths) {
    if (length >= AUTH_BYTES * 8) throw new RangeError(`authentication of ${length} bytes`);
    bits[length >> 3] = (bits[length >> 3] ?? 0) | (1 << (length & 7));
  }
  return bits;
}

/** What a slot holds; a peer over IPv6 has its addresses at a place in the map of ends (`encodeEnd`). */
export function encodePeer(peer: ProgramPeer, place: number | undefined): Uint8Array {
  const common = {
    inner_mtu: peer.innerMtu,
    outer_ifindex: peer.outerDevice,
    flags:
      PEER_FLAGS.IPIPOU_PEER_ADMITTED | (peer.anySource ? PEER_FLAGS.IPIPOU_PEER_ANY_SOURCE : 0),
    tags_out: peer.tagsOut ?? 0,
    inner_ip: encodeIpv4(peer.innerIp ?? ANY),
    tag: peer.tag ?? 0,
  };
  const where =
    place === undefined
      ? {
          remote_ip: encodeIpv4(peer.remoteIp),
          remote_port: peer.remotePort,
          local_ip: encodeIpv4(peer.localIp),
        }
      : { remote_ip: encodeU32host(place) };
  return encodeStruct(STRUCTS.ipipou_peer, { ...common, ...where });
}

/** The ends of a peer over IPv6. */
export function encodeEnd({ remoteIp, remotePort, localIp }: ProgramPeer): Uint8Array {
  return encodeStruct(STRUCTS.ipipou_end6, {
    remote_ip: encodeIp(remoteIp),
    local_ip: encodeIp(localIp),
    remote_port: remotePort,
  });
}

/** A hint of the peer at an index, with a full budget. */
export function encodeHint(index: number): Uint8Array {
  return encodeStruct(STRUCTS.ipipou_hint, { peer: index });
}

/** Whose hint it is. */
export function decodeHint(bytes: Uint8Array): number {
  return readNumber(STRUCTS.ipipou_hint, bytes, 'peer');
}

/** What an empty slot holds. */
export const EMPTY_PEER = new Uint8Array(STRUCTS.ipipou_peer.size);

/** Where a slot says that its peer's ends are; undefined for one over IPv4, and for an empty slot. */
export function decodePlace(bytes: Uint8Array): number | undefined {
  const layout = STRUCTS.ipipou_peer;
  const admitted = readNumber(layout, bytes, 'flags') & PEER_FLAGS.IPIPOU_PEER_ADMITTED;
  if (!admitted || readNumber(layout, bytes, 'remote_port') !== 0) return undefined;
  return getU32host(readBytes(layout, bytes, 'remote_ip'), 0);
}

type Where = Pick<ProgramPeer, 'remoteIp' | 'remotePort' | 'localIp'>;

/** undefined for an empty slot; `end` is what is at the place that it names. */
export function decodePeer(
  bytes: Uint8Array,
  end: Uint8Array | undefined,
): ProgramPeer | undefined {
  const layout = STRUCTS.ipipou_peer;
  const flags = readNumber(layout, bytes, 'flags');
  if (!(flags & PEER_FLAGS.IPIPOU_PEER_ADMITTED)) return undefined;
  return {
    ...(end ? decodeEnd(end) : decodeWhere(bytes)),
    innerMtu: readNumber(layout, bytes, 'inner_mtu'),
    outerDevice: ifIndex(readNumber(layout, bytes, 'outer_ifindex')),
    anySource: (flags & PEER_FLAGS.IPIPOU_PEER_ANY_SOURCE) !== 0,
    tagsOut: readNumber(layout, bytes, 'tags_out'),
    innerIp: known(decodeInnerIpv4(readBytes(layout, bytes, 'inner_ip'))),
    tag: readNumber(layout, bytes, 'tag'),
  };
}

function decodeWhere(bytes: Uint8Array): Where {
  const layout = STRUCTS.ipipou_peer;
  return {
    remoteIp: decodeOuterIpv4(readBytes(layout, bytes, 'remote_ip')),
    remotePort: readNumber(layout, bytes, 'remote_port'),
    localIp: decodeOuterIpv4(readBytes(layout, bytes, 'local_ip')),
  };
}

function decodeEnd(bytes: Uint8Array): Where {
  const layout = STRUCTS.ipipou_end6;
  return {
    remoteIp: decodeOuterIpv6(readBytes(layout, bytes, 'remote_ip')),
    remotePort: readNumber(layout, bytes, 'remote_port'),
    localIp: decodeOuterIpv6(readBytes(layout, bytes, 'local_ip')),
  };
}

function known(address: InnerIp): InnerIp | undefined {
  return address === ANY ? undefined : address;
}

export function decodeCounters(bytes: Uint8Array): ProgramCounters {
  const read = (name: keyof typeof STRUCTS.ipipou_counters.fields): bigint =>
    readBigint(STRUCTS.ipipou_counters, bytes, name);
  return {
    rxPackets: read('rx_packets'),
    rxBytes: read('rx_bytes'),
    rxRefused: read('rx_refused'),
    txPackets: read('tx_packets'),
    txBytes: read('tx_bytes'),
    txRefused: read('tx_refused'),
    lastHeard: read('last_heard'),
    tagFailures: read('tag_failures'),
    replays: read('replays'),
  };
}

/** The key of a path in the map of its family. */
export function encodePathKey({ local, remote }: Path): Uint8Array {
  const layout = familyOf(remote.ip) === 'ipv4' ? STRUCTS.ipipou_path : STRUCTS.ipipou_path6;
  return encodeStruct<keyof typeof layout.fields>(layout, {
    local_ip: encodeIp(local.ip),
    remote_ip: encodeIp(remote.ip),
    remote_port: remote.port,
  });
}

/** The path of a key of either map; all have the tunnel's own port. */
export function decodePathKey(bytes: Uint8Array, localPort: number): Path {
  const ipv4 = bytes.length === STRUCTS.ipipou_path.size;
  const layout = ipv4 ? STRUCTS.ipipou_path : STRUCTS.ipipou_path6;
  const decode = ipv4 ? decodeOuterIpv4 : decodeOuterIpv6;
  return {
    local: { ip: decode(readBytes(layout, bytes, 'local_ip')), port: port(localPort) },
    remote: {
      ip: decode(readBytes(layout, bytes, 'remote_ip')),
      port: port(readNumber(layout, bytes, 'remote_port')),
    },
  };
}

/** The key of a prefix in the map of its family. */
export function encodePrefixKey(prefix: Prefix): Uint8Array {
  const layout = familyOf(prefix.ip) === 'ipv4' ? STRUCTS.ipipou_prefix : STRUCTS.ipipou_prefix6;
  return encodeStruct<keyof typeof layout.fields>(layout, {
    length: prefix.length,
    ip: encodeIp(prefix.ip),
  });
}

/** The key of a source in the map of its family: an address of IPv4, the network of 64 bits of IPv6. */
export function encodeSourceKey(source: OuterIp): Uint8Array {
  const bytes = encodeIp(source);
  return familyOf(source) === 'ipv4' ? bytes : bytes.subarray(0, STRUCTS.ipipou_net6.size);
}

/** The key of a session in the map of keys to receive under: its index as it is on the wire. */
export function encodeSessionKey(index: number): Uint8Array {
  return Uint8Array.of(index >> 16, (index >> 8) & 0xff, index & 0xff, 0);
}

export function decodeSessionKey(bytes: Uint8Array): number {
  return getU32be(bytes, 0) >>> 8;
}

/** An entry of a session that nothing has come of. */
export function encodeTagIn(owner: number, level: TagLevel, key: Uint8Array): Uint8Array {
  return encodeStruct(STRUCTS.ipipou_tag_in, { owner, type: TAG_TYPE[level], key });
}

export function decodeTagIn(bytes: Uint8Array): {
  readonly owner: number;
  readonly level: TagLevel | undefined;
  readonly key: Uint8Array;
} {
  const layout = STRUCTS.ipipou_tag_in;
  return {
    owner: readNumber(layout, bytes, 'owner'),
    level: levelOf(readNumber(layout, bytes, 'type')),
    key: readBytes(layout, bytes, 'key'),
  };
}

/** What packets are sent under; nothing has been sent yet. */
export function encodeTagOut(level: TagLevel, { index, key }: TagKey): Uint8Array {
  const head = new Uint8Array(TAG_LENGTH);
  encodeTagHeader({ level, index, counter: 1 }, head);
  return encodeStruct(STRUCTS.ipipou_tag_out, { head: getU32host(head, 0), counter: 1n, key });
}

export function decodeTagOut(bytes: Uint8Array): TagKey & {
  readonly level: TagLevel | undefined;
  /** Of the next packet. */
  readonly counter: bigint;
} {
  const layout = STRUCTS.ipipou_tag_out;
  const head = getU32be(encodeU32host(readNumber(layout, bytes, 'head')), 0);
  return {
    level: levelOf(head >>> 24),
    index: head & MAX_TAG_INDEX,
    key: readBytes(layout, bytes, 'key'),
    counter: readBigint(layout, bytes, 'counter'),
  };
}

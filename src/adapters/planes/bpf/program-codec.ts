import {
  decodeOuterIpv4,
  decodeInnerIpv4,
  encodeIpv4,
  type InnerIp,
  type Path,
  type Prefix,
} from '../../../core/addr.ts';
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

export function encodeConfig(config: ProgramConfig): Uint8Array {
  const flags =
    (config.udpChecksum ? CONFIG_FLAGS.IPIPOU_UDP_CHECKSUM : 0) |
    (config.hasHosts ? CONFIG_FLAGS.IPIPOU_HAS_HOSTS : 0) |
    (config.hasPrefixes ? CONFIG_FLAGS.IPIPOU_HAS_PREFIXES : 0) |
    (config.strangers ? CONFIG_FLAGS.IPIPOU_STRANGERS : 0);
  return encodeStruct(STRUCTS.ipipou_config, {
    abi_version: ABI_VERSION,
    flags,
    near_ifindex: config.near,
    far_ifindex: config.far,
    default_peer: config.defaultPeer ?? NO_PEER,
    local_port: config.localPort,
    near_mac: config.nearMac,
    ttl: config.ttl,
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
    auth_lengths: encodeLengths(config.authLengths),
  });
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

export function encodePeer(peer: ProgramPeer): Uint8Array {
  return encodeStruct(STRUCTS.ipipou_peer, {
    remote_ip: encodeIpv4(peer.remoteIp),
    remote_port: peer.remotePort,
    inner_mtu: peer.innerMtu,
    local_ip: encodeIpv4(peer.localIp),
    outer_ifindex: peer.outerDevice,
    flags:
      PEER_FLAGS.IPIPOU_PEER_ADMITTED | (peer.anySource ? PEER_FLAGS.IPIPOU_PEER_ANY_SOURCE : 0),
    inner_ip: encodeIpv4(peer.innerIp ?? ANY),
    tag: peer.tag ?? 0,
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

/** undefined for an empty slot. */
export function decodePeer(bytes: Uint8Array): ProgramPeer | undefined {
  const layout = STRUCTS.ipipou_peer;
  const flags = readNumber(layout, bytes, 'flags');
  if (!(flags & PEER_FLAGS.IPIPOU_PEER_ADMITTED)) return undefined;
  return {
    remoteIp: decodeOuterIpv4(readBytes(layout, bytes, 'remote_ip')),
    remotePort: readNumber(layout, bytes, 'remote_port'),
    localIp: decodeOuterIpv4(readBytes(layout, bytes, 'local_ip')),
    innerMtu: readNumber(layout, bytes, 'inner_mtu'),
    outerDevice: ifIndex(readNumber(layout, bytes, 'outer_ifindex')),
    anySource: (flags & PEER_FLAGS.IPIPOU_PEER_ANY_SOURCE) !== 0,
    innerIp: known(decodeInnerIpv4(readBytes(layout, bytes, 'inner_ip'))),
    tag: readNumber(layout, bytes, 'tag'),
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
  };
}

export function encodePathKey({ local, remote }: Path): Uint8Array {
  return encodeStruct(STRUCTS.ipipou_path, {
    local_ip: encodeIpv4(local.ip),
    remote_ip: encodeIpv4(remote.ip),
    remote_port: remote.port,
  });
}

/** The path of a key; all have the tunnel's own port. */
export function decodePathKey(bytes: Uint8Array, localPort: number): Path {
  const layout = STRUCTS.ipipou_path;
  return {
    local: { ip: decodeOuterIpv4(readBytes(layout, bytes, 'local_ip')), port: port(localPort) },
    remote: {
      ip: decodeOuterIpv4(readBytes(layout, bytes, 'remote_ip')),
      port: port(readNumber(layout, bytes, 'remote_port')),
    },
  };
}

export function encodePrefixKey(prefix: Prefix): Uint8Array {
  return encodeStruct(STRUCTS.ipipou_prefix, {
    length: prefix.length,
    ip: encodeIpv4(prefix.ip),
  });
}

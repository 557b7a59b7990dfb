import {
  familyOf,
  parseOuterIp,
  type Family,
  type OuterIp,
  type Path,
} from '../../../core/addr.ts';
import type { PeerId, TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { port as toPort, type Port } from '../../../core/units.ts';

/**
 * What a run of the plane has made, or is about to make: written before it is made, so that after
 * kill -9 the next run knows what to adopt and what to remove. A thing named here may not exist.
 */
export type FouRecord = {
  readonly version: 2;
  readonly port: Port;
  /** Families whose FOU listener is ours; a listener that was there before is used and left. */
  readonly madeListeners: readonly Family[];
  /** Name of the default peer's device; the others' begin with it. */
  readonly device: string;
  readonly table: string;
  /** Peers that have a device or had one: at most MAX_PEERS. */
  readonly peers: readonly PeerRecord[];
  /** Alternative local addresses that are ours to take away; those that were there before are left. */
  readonly madeAlts: readonly OuterIp[];
};

export type PeerRecord = {
  readonly id: PeerId;
  readonly device: string;
  /** The admitted path, in public addresses (never an alternative one); undefined while evicted. */
  readonly path: Path | undefined;
  /** Alternative local address in use. */
  readonly alt: OuterIp | undefined;
};

/** The record of a run that has made nothing yet. */
export function newRecord(config: TunnelConfig): FouRecord {
  return {
    version: 2,
    port: config.outer.localPort,
    madeListeners: [],
    device: config.inner.device,
    table: config.nft.table,
    peers: [],
    madeAlts: [],
  };
}

/** A record out of the journal; undefined for anything that no run of this version wrote. */
export function parseRecord(value: unknown): FouRecord | undefined {
  if (!isObject(value) || value['version'] !== 2) return undefined;
  const port = parsePortValue(value['port']);
  const { device, table } = value;
  if (port === undefined || typeof device !== 'string' || typeof table !== 'string') {
    return undefined;
  }
  return {
    version: 2,
    port,
    madeListeners: parseListeners(value),
    device,
    table,
    peers: parseList(value['peers'], parsePeer),
    madeAlts: parseList(value['madeAlts'], parseAddress),
  };
}

/** A run that knew IPv4 alone said `madeListener`. */
function parseListeners(value: Readonly<Record<string, unknown>>): readonly Family[] {
  if (value['madeListener'] === true) return ['ipv4'];
  return parseList(value['madeListeners'], (item) =>
    item === 'ipv4' || item === 'ipv6' ? item : undefined,
  );
}

function parsePeer(value: unknown): PeerRecord | undefined {
  if (!isObject(value)) return undefined;
  const { id, device } = value;
  if (typeof id !== 'string' || typeof device !== 'string') return undefined;
  return {
    // What was an id when it was written; one that names no peer now is removed.
    id: id as PeerId,
    device,
    path: parsePath(value['path']),
    alt: parseAddress(value['alt']),
  };
}

function parsePath(value: unknown): Path | undefined {
  if (!isObject(value)) return undefined;
  const local = parseEnd(value['local']);
  const remote = parseEnd(value['remote']);
  if (!local || !remote || familyOf(local.ip) !== familyOf(remote.ip)) return undefined;
  return { local, remote };
}

function parseEnd(value: unknown): Path['local'] | undefined {
  if (!isObject(value)) return undefined;
  const ip = parseAddress(value['ip']);
  const port = parsePortValue(value['port']);
  return ip !== undefined && port !== undefined ? { ip, port } : undefined;
}

function parseAddress(value: unknown): OuterIp | undefined {
  return typeof value === 'string' ? parseOuterIp(value) : undefined;
}

function parsePortValue(value: unknown): Port | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535
    ? toPort(value)
    : undefined;
}

/** What of a list can be read. */
function parseList<T>(value: unknown, parse: (item: unknown) => T | undefined): readonly T[] {
  const items: readonly unknown[] = Array.isArray(value) ? value : [];
  return items.map(parse).filter((item) => item !== undefined);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

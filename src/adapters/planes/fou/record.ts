import { parseIpv4, type Ipv4, type Path } from '../../../core/addr.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { port as toPort, type Port } from '../../../core/units.ts';

/**
 * What a run of the plane has made, or is about to make: written before it is made, so that after
 * kill -9 the next run knows what to adopt and what to remove. A thing named here may not exist.
 */
export type FouRecord = {
  readonly version: 1;
  readonly port: Port;
  /** Whether the FOU listener is ours; a listener that was there before is used and left. */
  readonly madeListener: boolean;
  readonly device: string;
  readonly table: string;
  /** Alternative local address in use. */
  readonly alt: Ipv4 | undefined;
  /** Whether that address is ours; one that was on the host before is used and left. */
  readonly madeAlt: boolean;
  /** The admitted path, in public addresses (never the alternative one). */
  readonly path: Path | undefined;
};

/** The record of a run that has made nothing yet. */
export function newRecord(config: TunnelConfig): FouRecord {
  return {
    version: 1,
    port: config.outer.localPort,
    madeListener: false,
    device: config.inner.device,
    table: config.nft.table,
    alt: undefined,
    madeAlt: false,
    path: undefined,
  };
}

/** A record out of the journal; undefined for anything that no run of this version wrote. */
export function parseRecord(value: unknown): FouRecord | undefined {
  if (!isObject(value) || value['version'] !== 1) return undefined;
  const port = parsePortValue(value['port']);
  const { device, table, madeListener } = value;
  if (port === undefined || typeof device !== 'string' || typeof table !== 'string') {
    return undefined;
  }
  return {
    version: 1,
    port,
    madeListener: madeListener === true,
    device,
    table,
    alt: typeof value['alt'] === 'string' ? parseIpv4(value['alt']) : undefined,
    madeAlt: value['madeAlt'] === true,
    path: parsePath(value['path']),
  };
}

function parsePath(value: unknown): Path | undefined {
  if (!isObject(value)) return undefined;
  const local = parseEnd(value['local']);
  const remote = parseEnd(value['remote']);
  return local && remote ? { local, remote } : undefined;
}

function parseEnd(value: unknown): Path['local'] | undefined {
  if (!isObject(value) || typeof value['ip'] !== 'string') return undefined;
  const ip = parseIpv4(value['ip']);
  const port = parsePortValue(value['port']);
  return ip !== undefined && port !== undefined ? { ip, port } : undefined;
}

function parsePortValue(value: unknown): Port | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535
    ? toPort(value)
    : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

import { port as toPort, ifIndex, type IfIndex, type Port } from '../../../core/units.ts';

/** A device of the machine that we have hung a program on. */
export type AttachedRecord = {
  readonly index: IfIndex;
  readonly name: string;
  /** Whether the clsact qdisc is ours; one that was there before is left. */
  readonly madeQdisc: boolean;
};

/**
 * What a run of the plane has made, or is about to make: written before it is made, so that after
 * kill -9 the next run knows what to adopt and what to remove. A thing named here may not exist. Peers
 * are not named: they are in the maps.
 */
export type BpfRecord = {
  readonly version: 1;
  readonly port: Port;
  /** The two ends of the tunnel device. */
  readonly near: string;
  readonly far: string;
  readonly attached: readonly AttachedRecord[];
};

/** A record out of the journal; undefined for anything that no run of this version wrote. */
export function parseRecord(value: unknown): BpfRecord | undefined {
  if (!isObject(value) || value['version'] !== 1) return undefined;
  const { near, far, port, attached } = value;
  if (typeof near !== 'string' || typeof far !== 'string' || !Array.isArray(attached)) {
    return undefined;
  }
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return undefined;
  }
  return { version: 1, port: toPort(port), near, far, attached: attached.flatMap(parseAttached) };
}

function parseAttached(value: unknown): readonly AttachedRecord[] {
  if (!isObject(value)) return [];
  const { index, name, madeQdisc } = value;
  if (typeof index !== 'number' || typeof name !== 'string') return [];
  return [{ index: ifIndex(index), name, madeQdisc: madeQdisc === true }];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

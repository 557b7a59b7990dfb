import path from 'node:path';
import type { Program } from '../../src/adapters/lab/process.ts';
import type { OuterIp, Endpoint } from '../../src/core/addr.ts';

const SENDER = path.resolve(import.meta.dirname.replace('/.cache/bench/', '/'), 'flood.mjs');

/** A flood of forged packets; flood.mjs sends it. */
export type FloodSpec = {
  /** Leaves by this device, to this MAC address. */
  readonly device: string;
  readonly mac: string;
  /**
   * `requests` look like authentication packets with a hint; `errors` are ICMP errors about data of ours; `syns`
   * begin connections of TCP.
   */
  readonly packets: 'requests' | 'errors' | 'syns';
  readonly to: Endpoint;
  /** Packets a second; 0 = as many as go. */
  readonly rate: number;
  /** Ends after so many; 0 = when it is stopped. */
  readonly count: number;
  /** How many source addresses are forged; with `source` that one alone. */
  readonly sources: number;
  readonly source?: OuterIp;
  /** Hexadecimal, of a key; random ones otherwise. */
  readonly hint?: string;
  /** In every UDP header; 0 (none) otherwise. */
  readonly checksum?: number;
  /** To whom the packets went that errors are about; changing ports of nobody otherwise. */
  readonly about?: Endpoint;
};

/** The arguments of a flood, for a program in the namespace it comes from. */
export function floodCommand(spec: FloodSpec): readonly string[] {
  return [process.execPath, SENDER, JSON.stringify(spec)];
}

/** Ends a flood, or waits for its end; how many packets it has sent. */
export async function floodSent(flood: Program, stop: boolean): Promise<number> {
  const { stdout } = stop ? await flood.stop() : await flood.finished;
  const [, sent] = /^sent (\d+)$/m.exec(stdout) ?? [];
  if (sent === undefined) throw new Error(`the flood ended without a word: ${flood.output()}`);
  return Number(sent);
}

import path from 'node:path';
import type { Program } from '../../src/adapters/lab/process.ts';
import { NAT_ADDRESSES, type Topology } from '../../src/adapters/lab/topology.ts';
import type { OuterIp, Endpoint } from '../../src/core/addr.ts';

const SENDER = path.resolve(import.meta.dirname.replace('/.cache/bench/', '/'), 'flood.mjs');

/** A flood of forged packets; flood.mjs sends it. */
export type FloodSpec = {
  /** Leaves by this device, to this MAC address. */
  readonly device: string;
  readonly mac: string;
  /**
   * `requests` look like authentication packets with a hint; `errors` are ICMP errors about data of ours; `syns`
   * begin connections of TCP, `datagrams` are for any service of UDP; `inits` look like first messages of session 2, and
   * `junk` has the length of its packets.
   */
  readonly packets: 'requests' | 'errors' | 'syns' | 'datagrams' | 'inits' | 'junk';
  readonly to: Endpoint;
  /** Packets a second; 0 = as many as go. */
  readonly rate: number;
  /** Ends after so many; 0 = when it is stopped. */
  readonly count: number;
  /** How many are made before the first is sent, 32 768 otherwise. */
  readonly frames?: number;
  /** How many source addresses are forged; with `source` that one alone. */
  readonly sources: number;
  readonly source?: OuterIp;
  /** Hexadecimal, of a key; random ones otherwise. */
  readonly hint?: string;
  /** Hexadecimal, the key of a right mac1 of `inits`; random ones otherwise. */
  readonly mac1?: string;
  /** In every UDP header; 0 (none) otherwise. */
  readonly checksum?: number;
  /** To whom the packets went that errors are about; changing ports of nobody otherwise. */
  readonly about?: Endpoint;
};

/**
 * What the server of a lab sends to forged sources (flood.mjs: 198.18.0.0/15) goes to the router, as on the Internet, and ends
 * there. Without a route they are neighbours, of which the kernel remembers a thousand for all namespaces together.
 */
export async function routeForged(lab: Topology): Promise<void> {
  const [via] = NAT_ADDRESSES;
  const route = (namespace: string, ...args: readonly string[]) =>
    lab.exec(namespace, ['ip', 'route', 'replace', ...args]);
  const done = [
    await route(lab.server, '198.18.0.0/15', 'via', via),
    await route(lab.router, 'blackhole', '198.18.0.0/15'),
  ];
  for (const { code, stderr } of done) if (code !== 0) throw new Error(`ip route: ${stderr}`);
}

/** The arguments of a flood, for a program in the namespace it comes from. */
export function floodCommand(spec: FloodSpec): readonly string[] {
  return [process.execPath, SENDER, JSON.stringify(spec)];
}

/** Ends a flood, or waits for its end; how many packets it has sent, one at least. */
export async function floodSent(flood: Program, stop: boolean): Promise<number> {
  return (await floodEnd(flood, stop)).sent;
}

/** The same, and how many a second those were. */
export async function floodEnd(
  flood: Program,
  stop: boolean,
): Promise<{ readonly sent: number; readonly perSecond: number }> {
  const { stdout } = stop ? await flood.stop() : await flood.finished;
  const [, sent, took] = /^sent (\d+)\nin (\d+) ms$/m.exec(stdout) ?? [];
  if (sent === undefined) throw new Error(`the flood ended without a word: ${flood.output()}`);
  if (Number(sent) === 0) throw new Error(`the flood sent nothing: ${flood.output()}`);
  return { sent: Number(sent), perSecond: (Number(sent) * 1000) / Number(took) };
}

import { setTimeout as delay } from 'node:timers/promises';
import { SERVER_ADDRESS, type Topology } from '../src/adapters/lab/topology.ts';
import { millis, port } from '../src/core/units.ts';
import { floodCommand, floodEnd, routeForged, type FloodSpec } from '../test/rig/flood.ts';

/* What benchmarks of floods share: the flood beside the work that is measured, and a stream of TCP. */

/** Nobody's MAC address: the kernel drops what is sent to it after a glance. */
export const ELSEWHERE = '02:00:00:00:00:99';

export type Flooding = Pick<FloodSpec, 'packets' | 'rate'> &
  Partial<FloodSpec> & { readonly toPort: number };

/**
 * `work` under a flood of the server from the router, or without one; how many packets a second were sent. The flood waits
 * for no other program's turn, as what comes by a cable does not.
 */
export async function underFlood<T>(
  lab: Topology,
  flooding: Flooding | undefined,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly perSecond: number }> {
  if (flooding === undefined) return { result: await work(), perSecond: 0 };
  const { toPort, ...spec } = flooding;
  await routeForged(lab);
  const { stdout } = await lab.exec(lab.server, ['cat', '/sys/class/net/eth0/address']);
  const command = floodCommand({
    ...{ device: 'wan', mac: stdout.trim(), count: 0, sources: 65_536 },
    ...{ to: { ip: SERVER_ADDRESS, port: port(toPort) }, ...spec },
  });
  const flood = lab.spawn(lab.router, ['chrt', '-f', '1', ...command]);
  try {
    await flood.waitFor(/flooding/);
    await delay(500);
    const result = await work();
    return { result, perSecond: (await floodEnd(flood, true)).perSecond };
  } finally {
    await flood[Symbol.asyncDispose]();
  }
}

/** Gbit/s of one TCP stream from the first client to the server by the tunnel. */
export async function tcpRate(lab: Topology, seconds: number): Promise<number> {
  const listener = lab.spawn(lab.server, [
    ...['iperf3', '-s', '-1', '-B', '172.28.0.0', '--forceflush'],
  ]);
  await listener.waitFor(/listening/);
  const argv = ['iperf3', '-J', '-t', String(seconds), '-c', '172.28.0.0'];
  const done = await lab.exec(lab.client(0), argv, { timeout: millis(60_000) });
  await listener.end(millis(5000)).catch(() => undefined);
  const report = JSON.parse(done.stdout) as {
    end?: { sum_received?: { bits_per_second: number } };
  };
  return (report.end?.sum_received?.bits_per_second ?? 0) / 1e9;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

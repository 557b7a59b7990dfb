import { setTimeout as delay } from 'node:timers/promises';
import { ProgramError, type Program } from '../adapters/lab/process.ts';
import type { Topology } from '../adapters/lab/topology.ts';
import type { Ip } from '../core/addr.ts';
import { millis } from '../core/units.ts';

/** What a receiver got, as iperf3's JSON tells. */
export type Received = {
  readonly bytes: number;
  readonly seconds: number;
  /** UDP only: what was sent, and what of it did not come. */
  readonly packets: number;
  readonly lost: number;
};

export type Flow = {
  readonly server: Ip;
  readonly port: number;
  readonly seconds: number;
  readonly down: boolean;
  readonly streams: number;
  readonly udp?: { readonly size: number; readonly rate?: number };
};

/** The first port of iperf3; another client of the same server takes the next. */
export const IPERF_PORT = 5201;
/** How long a test may take beyond its seconds: it also connects, and exchanges results. */
const GRACE = 20_000;
/** Congestion control: the same on every machine, whatever its default is. */
const CONGESTION = 'cubic';
/** A server that has just ended a test refuses the next for a moment. */
const RETRIES = 5;
const RETRY_WAIT = 100;

/** A server that goes on until it is stopped. */
export async function startIperfServer(
  lab: Topology,
  namespace: string,
  port = IPERF_PORT,
): Promise<Program> {
  const argv = ['iperf3', '-s', '--forceflush', '-p', String(port)];
  const server = lab.spawn(namespace, argv, { group: 'own' });
  await server.waitFor(/listening/);
  return server;
}

export async function iperf(lab: Topology, namespace: string, flow: Flow): Promise<Received> {
  const argv = iperfArguments(flow);
  for (let attempt = 0; ; attempt++) {
    const timeout = millis(flow.seconds * 1000 + GRACE);
    const ended = await lab.exec(namespace, argv, { timeout, group: 'own' });
    const parsed = parseIperf(ended.stdout);
    if (typeof parsed !== 'string') return parsed;
    if (attempt >= RETRIES || !/busy/.test(parsed)) throw new ProgramError(argv, parsed, '');
    await delay(RETRY_WAIT);
  }
}

export function iperfArguments({
  server,
  port,
  seconds,
  down,
  streams,
  udp,
}: Flow): readonly string[] {
  const base = ['iperf3', '-c', server, '-p', String(port), '-t', String(seconds), '-J'];
  const rate = udp?.rate === undefined ? '0' : `${udp.rate}M`;
  return [
    ...base,
    ...(down ? ['-R'] : []),
    ...(streams > 1 ? ['-P', String(streams)] : []),
    ...(udp === undefined ? ['-C', CONGESTION] : ['-u', '-b', rate, '-l', String(udp.size)]),
  ];
}

/** `end.sum_received` of iperf3's JSON, or what is wrong with it. */
export function parseIperf(json: string): Received | string {
  let report: unknown;
  try {
    report = JSON.parse(json);
  } catch {
    return 'iperf3 printed no JSON';
  }
  const error = member(report, 'error');
  if (typeof error === 'string') return `iperf3: ${error}`;
  const sum = member(member(report, 'end'), 'sum_received');
  const [bytes, seconds] = [member(sum, 'bytes'), member(sum, 'seconds')];
  if (typeof bytes !== 'number' || typeof seconds !== 'number' || seconds <= 0) {
    return 'iperf3 reported nothing received';
  }
  const number = (name: string): number => {
    const value = member(sum, name);
    return typeof value === 'number' ? value : 0;
  };
  return { bytes, seconds, packets: number('packets'), lost: number('lost_packets') };
}

function member(value: unknown, name: string): unknown {
  // An object's properties may be anything: that is what the type says.
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

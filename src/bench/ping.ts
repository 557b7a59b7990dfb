import type { Program } from '../adapters/lab/process.ts';
import type { Topology } from '../adapters/lab/topology.ts';
import type { Ip } from '../core/addr.ts';
import { millis, type Millis } from '../core/units.ts';

/** Milliseconds. */
export type RoundTrips = {
  readonly min: number;
  readonly avg: number;
  readonly max: number;
  readonly mdev: number;
};

/** The last line of ping, "rtt min/avg/max/mdev = 0.048/0.058/0.181/0.017 ms"; undefined when nothing came. */
export function parsePing(text: string): RoundTrips | undefined {
  const match = /= ([0-9.]+)\/([0-9.]+)\/([0-9.]+)\/([0-9.]+) ms/.exec(text);
  if (match === null) return undefined;
  const [min = 0, avg = 0, max = 0, mdev = 0] = match.slice(1).map(Number);
  return { min, avg, max, mdev };
}

/** Milliseconds between the pings of a measurement. */
const INTERVAL = 10;
/** Fewer pings say nothing about the spread. */
const LEAST = 20;
/** How long ping waits for the last replies, in seconds. */
const LINGER = 2;

/** Pings for so many seconds; throws when no reply comes. */
export async function ping(
  lab: Topology,
  namespace: string,
  target: Ip,
  seconds: number,
): Promise<RoundTrips> {
  const count = Math.max(LEAST, Math.round((seconds * 1000) / INTERVAL));
  const argv = ['ping', '-q', '-c', String(count), '-i', String(INTERVAL / 1000)];
  const limit = ['-w', String(Math.ceil(seconds) + LINGER), target];
  const timeout = millis((seconds + LINGER + 20) * 1000);
  const { stdout } = await lab.exec(namespace, [...argv, ...limit], { timeout, group: 'own' });
  const parsed = parsePing(stdout);
  if (parsed === undefined) throw new Error(`no reply to ping: ${stdout.trim()}`);
  return parsed;
}

/** Pings all the time and tells when replies come. */
export class ReplyWatch {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  /** `interval`: milliseconds between requests. */
  static async start(
    lab: Topology,
    namespace: string,
    target: Ip,
    interval = INTERVAL,
  ): Promise<ReplyWatch> {
    const argv = ['ping', '-D', '-i', String(interval / 1000), target];
    const program = lab.spawn(namespace, argv, { group: 'own' });
    await program.waitFor(/PING/);
    return new ReplyWatch(program);
  }

  /** Unix time in milliseconds of the first reply after a time; rejects after `timeout`. */
  async replyAfter(time: number, timeout: Millis): Promise<number> {
    let found: number | undefined;
    await this.#program.waitFor(() => {
      found ??= firstReplyAfter(this.#program.stdout, time);
      return found !== undefined;
    }, timeout);
    return found ?? Number.NaN;
  }

  async stop(): Promise<void> {
    await this.#program.stop('SIGINT');
  }
}

/** Time of the first line of `ping -D` that is a reply and later than `time`, in milliseconds. */
export function firstReplyAfter(text: string, time: number): number | undefined {
  for (const [, at] of text.matchAll(/^\[([0-9]+\.[0-9]+)\] [0-9]+ bytes from/gm)) {
    const millis = Number(at) * 1000;
    if (millis > time) return millis;
  }
  return undefined;
}

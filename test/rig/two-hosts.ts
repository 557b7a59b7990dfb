import { setTimeout as delay } from 'node:timers/promises';
import { inside, ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { run, runChecked, type Finished } from '../../src/adapters/lab/process.ts';
import type { Ip } from '../../src/core/addr.ts';
import { OUTSIDE } from './ends.ts';
import { patience, pause } from './patience.ts';

let made = 0;

/** Lines of `ip` for a (0) or b (1). */
function linesOf(side: number, ipv6: boolean): readonly string[] {
  const own = (of: readonly string[]): readonly string[] => [of[side], of[side + 2]].map(String);
  return [
    'link set lo up',
    'link set v0 addrgenmode none',
    ...own(OUTSIDE.ipv4).map((ip) => `addr add ${ip}/24 dev v0`),
    'link set v0 up',
    ...(ipv6 ? own(OUTSIDE.ipv6).map((ip) => `addr add ${ip}/64 dev v0 nodad`) : []),
  ];
}

/**
 * Two namespaces and a cable.
 *
 *     a   v0 10.9.0.1/24  <──────────>  v0 10.9.0.2/24   b
 *            10.9.0.3/24                   10.9.0.4/24
 *
 * With IPv6 also 2001:db8:9::1 and ::3, and ::2 and ::4, of 2001:db8:9::/64.
 */
export class TwoHosts implements AsyncDisposable {
  readonly a: string;
  readonly b: string;

  private constructor(prefix: string) {
    this.a = `${prefix}-a`;
    this.b = `${prefix}-b`;
  }

  static async make({ ipv6 = false } = {}): Promise<TwoHosts> {
    made += 1;
    const hosts = new TwoHosts(`ipipou2-${process.pid}-${made}`);
    const { a, b } = hosts;
    await ipBatch(undefined, [
      `netns add ${a}`,
      `netns add ${b}`,
      `link add v0 netns ${a} type veth peer name v0 netns ${b}`,
    ]);
    await Promise.all([a, b].map(async (name, side) => ipBatch(name, linesOf(side, ipv6))));
    return hosts;
  }

  /** Runs a program in one of them, to its end. */
  async exec(namespace: string, ...argv: readonly string[]): Promise<Finished> {
    return run(inside(namespace, argv), { timeout: patience(20_000) });
  }

  /** Runs a program that must succeed; its standard output. */
  async sure(namespace: string, ...argv: readonly string[]): Promise<string> {
    const options = { timeout: patience(20_000) };
    return (await runChecked(inside(namespace, argv), options)).stdout;
  }

  /** Whether `target` answers within five seconds. An error, as of a route that is not there yet, ends ping(8) before. */
  async pings(namespace: string, target: Ip, ...options: readonly string[]): Promise<boolean> {
    const end = performance.now() + 5000;
    for (;;) {
      const done = await this.exec(namespace, 'ping', '-c1', '-w5', ...options, target);
      if (done.code === 0 || performance.now() > end) return done.code === 0;
      await delay(pause());
    }
  }

  /** Links, addresses and routes of a namespace as text to compare. */
  async state(namespace: string): Promise<string> {
    const views = [
      ['ip', '-o', '-d', 'addr'],
      ['ip', 'route', 'show', 'table', 'all'],
    ];
    const shown = await Promise.all(views.map((argv) => this.sure(namespace, ...argv)));
    return (
      shown
        .join('\n')
        .replaceAll(/ (valid|preferred)_lft \S+/g, '')
        // The kernel makes it when it has seen that the link is there, in its own time.
        .replaceAll(/^multicast ff00::\/8 .*\n?/gm, '')
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeNamespaces([this.a, this.b]);
  }
}

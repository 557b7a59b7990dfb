import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest';
import type { Path } from '../../src/core/addr.ts';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { inner, ip } from './addresses.ts';
import { PlaneHost, type HostOptions } from './plane-host.ts';
import { TwoHosts } from './two-hosts.ts';
import { patience } from './patience.ts';

export const A = { ip: ip('10.9.0.1'), port: port(10_000) };
export const B = { ip: ip('10.9.0.2'), port: port(10_000) };
export const A_TO_B: Path = { local: A, remote: B };
export const B_TO_A: Path = { local: B, remote: A };
export const INNER_A = inner('172.28.0.1');
export const INNER_B = inner('172.28.0.0');

/**
 * Two planes over one cable; its drawing is at the head of two-hosts.ts.
 *
 *     a   ipipou0 172.28.0.1 ── :10000 ┄ v0 ┄ :10000 ── 172.28.0.0 ipipou0   b
 */
export class PlanePair implements AsyncDisposable {
  readonly cable: TwoHosts;
  a: PlaneHost;
  b: PlaneHost;

  private constructor(cable: TwoHosts, a: PlaneHost, b: PlaneHost) {
    this.cable = cable;
    this.a = a;
    this.b = b;
  }

  /** Of one kind where nothing else is said of b. */
  static async make(ofA: PlaneName, ofB = ofA): Promise<PlanePair> {
    const cable = await TwoHosts.make();
    const [a, b] = await Promise.all([PlaneHost.in(cable.a, ofA), PlaneHost.in(cable.b, ofB)]);
    return new PlanePair(cable, a, b);
  }

  /** Bound to one address, so that a test can use the port of the others. */
  async openA(options: Partial<HostOptions> = {}): Promise<void> {
    const peers = [{ id: DEFAULT_PEER, innerIps: [INNER_B], allowedIps: 'any' }] as const;
    await this.a.open({ ip: INNER_A, peers, localIp: A.ip, role: 'client', ...options });
  }

  async openB(
    options: Partial<HostOptions> = {},
    authLengths: readonly number[] = [],
  ): Promise<void> {
    await this.b.open({ ...OF_B, ...options }, authLengths);
  }

  /** Opens both ends and admits each to the other. */
  async openBoth(options: Partial<HostOptions> = {}): Promise<void> {
    await Promise.all([this.openA(options), this.openB(options)]);
    await this.admitBoth();
  }

  /** Admits each end to the other. */
  async admitBoth(): Promise<void> {
    await Promise.all([this.a.admit(A_TO_B), this.b.admit(B_TO_A)]);
  }

  /** Echo requests that b's kernel has taken in, from anywhere. */
  async arrivedInB(): Promise<number> {
    const snmp = await this.cable.sure(this.cable.b, 'cat', '/proc/net/snmp');
    const [names = [], values = []] = snmp
      .split('\n')
      .filter((line) => line.startsWith('Icmp:'))
      .map((line) => line.split(' '));
    return Number(values[names.indexOf('InEchos')]);
  }

  /** Everything that a tunnel could have left in b, as text to compare. */
  async stateOfB(): Promise<string> {
    const { cable } = this;
    const [state, qdiscs, filters] = await Promise.all([
      cable.state(cable.b),
      cable.sure(cable.b, 'tc', 'qdisc', 'show'),
      cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'v0', 'ingress'),
    ]);
    // What IPv6 adds in its own time, wherever a link is up.
    const settled = state.replaceAll(/^multicast ff00::.*\n?/gm, '').trim();
    return [settled, qdiscs, filters].join('\n');
  }

  async heardInB(count: number): Promise<void> {
    await eventually(() => {
      const heard = this.b.packets().length;
      if (heard < count) throw new Error(`b heard ${heard} control packets, not ${count}`);
    });
  }

  /** As after `make`: starting processes is what costs, in an emulated guest seconds. */
  async reset(): Promise<void> {
    await Promise.all([this.a.reset(), this.b.reset()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a[Symbol.asyncDispose](), this.b[Symbol.asyncDispose]()]);
    await this.cable[Symbol.asyncDispose]();
  }
}

/**
 * One pair for all tests of a file or block, which `use` is given; reset after each test. Of one kind where
 * nothing else is said of b.
 */
export function onePair(
  ofA: PlaneName,
  use: (pair: PlanePair) => void,
  ofB: PlaneName = ofA,
): void {
  let pair: PlanePair;
  beforeAll(async () => {
    pair = await PlanePair.make(ofA, ofB);
    use(pair);
  });
  afterEach(() => pair.reset());
  afterAll(() => pair[Symbol.asyncDispose]());
}

/** A pair of its own for every test, which `use` is given: for what changes more than the planes. */
export function pairForEach(plane: PlaneName, use: (pair: PlanePair) => void): void {
  let pair: PlanePair;
  beforeEach(async () => {
    pair = await PlanePair.make(plane);
    use(pair);
  });
  afterEach(() => pair[Symbol.asyncDispose]());
}

/** How b is opened where a test says nothing else. */
export const OF_B: HostOptions = {
  ip: INNER_B,
  peers: [{ id: DEFAULT_PEER, innerIps: [INNER_A], allowedIps: 'any' }],
};

export async function eventually(check: () => Promise<void> | void): Promise<void> {
  await vi.waitFor(check, { timeout: patience(10_000), interval: 20 });
}

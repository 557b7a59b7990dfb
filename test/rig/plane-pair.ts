import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from 'vitest';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { IPV4_ENDS, type Ends } from './ends.ts';
import { PlaneHost, type HostOptions } from './plane-host.ts';
import type { EndTags } from './tag-keys.ts';
import { TwoHosts } from './two-hosts.ts';
import { patience, pause } from './patience.ts';

/** The ends of IPv4, outside and inside. */
export const {
  a: A,
  b: B,
  aToB: A_TO_B,
  bToA: B_TO_A,
  innerA: INNER_A,
  innerB: INNER_B,
} = IPV4_ENDS;

/**
 * Two planes over one cable; its drawing is at the head of two-hosts.ts.
 *
 *     a   ipipou0 172.28.0.1 ── :10000 ┄ v0 ┄ :10000 ── 172.28.0.0 ipipou0   b
 */
export class PlanePair implements AsyncDisposable {
  readonly cable: TwoHosts;
  readonly ends: Ends;
  a: PlaneHost;
  b: PlaneHost;

  private constructor(cable: TwoHosts, ends: Ends, a: PlaneHost, b: PlaneHost) {
    this.cable = cable;
    this.ends = ends;
    this.a = a;
    this.b = b;
  }

  static async make({ a: ofA, b: ofB = ofA, ends = IPV4_ENDS }: PairOptions): Promise<PlanePair> {
    const cable = await TwoHosts.make({ ipv6: ends !== IPV4_ENDS });
    const [a, b] = await Promise.all([PlaneHost.in(cable.a, ofA), PlaneHost.in(cable.b, ofB)]);
    return new PlanePair(cable, ends, a, b);
  }

  /** The same hosts and planes, with other ends to open them for. */
  between(ends: Ends): PlanePair {
    return new PlanePair(this.cable, ends, this.a, this.b);
  }

  /** Bound to one address, so that a test can use the port of the others. */
  async openA(options: Partial<HostOptions> = {}): Promise<void> {
    const { allOfA, allOfB, a } = this.ends;
    const peers = [{ id: DEFAULT_PEER, innerIps: allOfB, allowedIps: 'any' }] as const;
    await this.a.open({ ips: allOfA, peers, localIps: [a.ip], role: 'client', ...options });
  }

  async openB(
    options: Partial<HostOptions> = {},
    authLengths: readonly number[] = [],
  ): Promise<void> {
    await this.b.open({ ...ofB(this.ends), ...options }, authLengths);
  }

  /** Opens both ends and admits each to the other. */
  async openBoth(options: Partial<HostOptions> = {}, tags?: EndTags): Promise<void> {
    await Promise.all([this.openA(options), this.openB(options)]);
    await this.admitBoth(tags);
  }

  /** Admits each end to the other. */
  async admitBoth(tags?: EndTags): Promise<void> {
    const { aToB, bToA } = this.ends;
    await Promise.all([
      this.a.admit(aToB, DEFAULT_PEER, tags?.a),
      this.b.admit(bToA, DEFAULT_PEER, tags?.b),
    ]);
  }

  /** Echo requests of the inner family that b's kernel has taken in, from anywhere. */
  async arrivedInB(): Promise<number> {
    if (this.ends.inside === 'ipv6') {
      const snmp6 = await this.cable.sure(this.cable.b, 'cat', '/proc/net/snmp6');
      return Number(/Icmp6InEchos\s+(\d+)/.exec(snmp6)?.[1]);
    }
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

/** What a pair is of: b as a where nothing is said, IPv4 outside and inside. */
export type PairOptions = {
  readonly a: PlaneName;
  readonly b?: PlaneName;
  readonly ends?: Ends;
};

/** One pair for all tests of a file or block, which `use` is given; reset after each test. */
export function onePair(of: PlaneName | PairOptions, use: (pair: PlanePair) => void): void {
  let pair: PlanePair;
  beforeAll(async () => {
    pair = await PlanePair.make(typeof of === 'string' ? { a: of } : of);
    use(pair);
  });
  afterEach(() => pair.reset());
  afterAll(() => pair[Symbol.asyncDispose]());
}

/** A pair of its own for every test, which `use` is given: for what changes more than the planes. */
export function pairForEach(of: PlaneName | PairOptions, use: (pair: PlanePair) => void): void {
  let pair: PlanePair;
  beforeEach(async () => {
    pair = await PlanePair.make(typeof of === 'string' ? { a: of } : of);
    use(pair);
  });
  afterEach(() => pair[Symbol.asyncDispose]());
}

/** How b is opened where a test says nothing else. */
export function ofB({ allOfA, allOfB }: Ends): HostOptions {
  return {
    ips: allOfB,
    peers: [{ id: DEFAULT_PEER, innerIps: allOfA, allowedIps: 'any' }],
  };
}

/** The same of IPv4. */
export const OF_B: HostOptions = ofB(IPV4_ENDS);

export async function eventually(check: () => Promise<void> | void): Promise<void> {
  await vi.waitFor(check, { timeout: patience(10_000), interval: pause() });
}

/**
 * Waits until all that either end has sent has come to the other. Who changes keys twice sooner forgets those of packets
 * that still wait somewhere.
 */
export async function allArrived({ a, b }: PlanePair): Promise<void> {
  const [ofA, ofB] = await Promise.all([a.counters(), b.counters()]);
  await eventually(async () => {
    const [nowA, nowB] = await Promise.all([a.counters(), b.counters()]);
    expect(nowB.rxPackets).toBeGreaterThanOrEqual(ofA.txPackets);
    expect(nowA.rxPackets).toBeGreaterThanOrEqual(ofB.txPackets);
  });
}

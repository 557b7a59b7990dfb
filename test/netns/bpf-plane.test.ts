/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually, INNER_A, INNER_B, PlanePair } from '../rig/plane-pair.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

let pair: PlanePair;
let cable: TwoHosts;

beforeEach(async () => {
  pair = await PlanePair.make('bpf');
  ({ cable } = pair);
});

afterEach(async () => {
  await pair[Symbol.asyncDispose]();
});

describe('forwarding', () => {
  test('both ends ping each other, and packets are counted', async () => {
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
    const counts = { rxPackets: 2n, rxBytes: 168n, txPackets: 2n, txBytes: 168n };
    await eventually(async () => {
      expect(await pair.a.counters()).toMatchObject(counts);
    });
    expect(await pair.b.counters()).toMatchObject(counts);
  });
});

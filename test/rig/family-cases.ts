/*
 * Planes of any kinds in every combination of families, outside and inside.
 * Topology: the drawings at the heads of plane-pair.ts and two-hosts.ts.
 */
import { describe, expect, test } from 'vitest';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { COMBINATIONS, endsOf, WITH_IPV6, type Combination } from './ends.ts';
import { describeAdmission, describeForwarding, describeMoves, type Skew } from './plane-cases.ts';
import { onePair, type PlanePair } from './plane-pair.ts';
import type { EndTags } from './tag-keys.ts';
import { expectStreams, expectTcp, expectUdp } from './transfer.ts';

const MIB = 1024 * 1024;

/** A plane of one kind at both ends: what it carries, whom it admits, and moves from family to family. */
export function describeFamilies(plane: PlaneName, skew: Skew): void {
  describe.each(COMBINATIONS)('$inside in $outside', (combination) => {
    let pair: PlanePair;
    onePair({ a: plane, ends: endsOf(combination) }, (made) => (pair = made));
    describeTraffic(() => pair);
    if (!WITH_IPV6.includes(combination)) return;
    describeForwarding(() => pair, skew);
    describeAdmission(() => pair);
    describeMoves(() => pair);
  });
}

/** Planes of two kinds, a's and b's. */
export function describeMix(
  a: PlaneName,
  b: PlaneName,
  combinations: readonly Combination[] = COMBINATIONS,
): void {
  describe.each(combinations)(`${a} and ${b}: $inside in $outside`, (combination) => {
    let pair: PlanePair;
    onePair({ a, b, ends: endsOf(combination) }, (made) => (pair = made));
    describeTraffic(() => pair);
  });
}

/** Every kind of traffic, by its hash; `tags`: what the packets of both carry. */
export function describeTraffic(
  pairOf: () => PlanePair,
  tags: { readonly overhead: number; readonly keys?: EndTags } = { overhead: 0 },
): void {
  test('pings, TCP of one and of fifty streams, and UDP, both ways at once', async () => {
    const pair = pairOf();
    const { cable, ends } = pair;
    const { innerA, innerB } = ends;
    const { overhead, keys } = tags;
    await pair.openBoth({}, keys);
    expect(await cable.pings(cable.a, innerB)).toBe(true);
    expect(await cable.pings(cable.b, innerA)).toBe(true);
    await Promise.all([
      expectTcp(cable.a, cable.b, innerB, 4 * MIB),
      expectTcp(cable.b, cable.a, innerA, 4 * MIB),
    ]);
    const streams = { streams: 50, bytes: MIB / 8 };
    await Promise.all([
      expectStreams(cable.a, cable.b, innerB, streams),
      expectStreams(cable.b, cable.a, innerA, streams),
    ]);
    const largest = ends.mtu - overhead - ends.header - 8;
    await Promise.all([
      expectUdp(cable.a, cable.b, innerB, largest),
      expectUdp(cable.b, cable.a, innerA, largest),
    ]);
    for (const host of [pair.a, pair.b]) {
      const refused = Object.entries((await host.describePeer()).refused);
      expect(refused.filter(([, count]) => count > 0n)).toEqual([]);
    }
  });
}

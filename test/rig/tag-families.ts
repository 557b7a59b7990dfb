/*
 * Planes of any kinds whose packets carry tags, over a real cable.
 * Topology: the drawings at the heads of plane-pair.ts and two-hosts.ts.
 */
import { describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { decodeTagHeader, TAG_LENGTH } from '../../src/core/tag/layout.ts';
import { isTaggedRight, tagged } from '../../src/core/tag/tag.ts';
import type { TagLevel } from '../../src/core/tag/types.ts';
import { WINDOW_COUNTERS } from '../../src/core/tag/window.ts';
import { port } from '../../src/core/units.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { COMBINATIONS, endsOf } from './ends.ts';
import { describeTraffic } from './family-cases.ts';
import { NamespaceSocket } from './namespace-sockets.ts';
import { allArrived, eventually, onePair, type PlanePair } from './plane-pair.ts';
import { endTags, sessionKey } from './tag-keys.ts';
import { expectNothingLost, innerEcho } from './traffic.ts';

const LEVELS = ['header', 'full'] as const;

/** Planes of one or two kinds, a's and b's: all that they carry, and what b refuses. One pair of hosts is for all. */
export function describeTagFamilies(a: PlaneName, b: PlaneName = a): void {
  describe(`${a} and ${b}`, () => {
    let hosts: PlanePair;
    onePair({ a, b, ends: endsOf({ outside: 'ipv6', inside: 'ipv6' }) }, (made) => (hosts = made));
    describe.each(LEVELS)('tags, %s', (level) => {
      describe.each(COMBINATIONS)('$inside in $outside', (combination) => {
        const ends = endsOf(combination);
        const pair = (): PlanePair => hosts.between(ends);
        describeTraffic(pair, { overhead: TAG_LENGTH, keys: endTags(level, 1) });
        describeTagged(pair, level);
      });
    });
  });
}

function describeTagged(pairOf: () => PlanePair, level: TagLevel): void {
  const keys = endTags(level, 1);
  /** A packet of a's under a session, short enough to be proved whole at either level. */
  const ofA = (counter: number, session = 1): Uint8Array => {
    const { innerA, innerB } = pairOf().ends;
    const { index, key } = sessionKey('a', session);
    return tagged({ level, index, counter }, key, innerEcho(innerA, innerB, 16));
  };
  const send = async (payload: Uint8Array): Promise<void> => {
    const { a, ends } = pairOf();
    await a.send({ path: ends.aToB, payload, ttl: undefined });
  };
  const arrived = async (before: number, more: number): Promise<void> =>
    eventually(async () => {
      expect((await pairOf().arrivedInB()) - before).toBe(more);
    });

  test('they take their room of the MTU, and are on the cable as they are said to be', async () => {
    const { a, b, cable, ends } = pairOf();
    await pairOf().openBoth({}, keys);
    for (const host of [a, b]) {
      expect((await host.describePeer()).mtu).toBe(ends.mtu - TAG_LENGTH);
    }
    const moved = { ip: ends.otherA, port: port(20_000) };
    using roamer = NamespaceSocket.udp(cable.a, moved);
    await b.admit({ local: ends.b, remote: moved }, DEFAULT_PEER, keys.b);
    await cable.exec(cable.b, 'ping', '-c3', '-i0.2', '-W0.3', ends.innerA);
    const payloads = roamer.received();
    const { index, key } = sessionKey('b', 1);
    expect(payloads.map((payload) => isTaggedRight(key, payload))).toEqual([true, true, true]);
    const headers = payloads.map((payload) => decodeTagHeader(payload));
    const first = headers[0]?.counter ?? 0;
    expect(first).toBeGreaterThan(0);
    expect(headers).toEqual([0, 1, 2].map((more) => ({ level, index, counter: first + more })));
  });

  test('what is altered, comes again, is too old or has none is refused', async () => {
    const { b } = pairOf();
    await pairOf().openBoth({}, keys);
    const before = await pairOf().arrivedInB();
    const newest = 5000;
    const right = ofA(newest);
    const places = [0, 4, 7, 8, 15, TAG_LENGTH, TAG_LENGTH + 16, right.length - 1];
    for (const at of places) await send(right.with(at, (right[at] ?? 0) ^ 0x40));
    await send(innerEcho(pairOf().ends.innerA, pairOf().ends.innerB));
    await send(right);
    await arrived(before, 1);
    await send(right);
    await send(ofA(newest - WINDOW_COUNTERS));
    await send(ofA(0));
    await send(ofA(newest - WINDOW_COUNTERS + 40));
    await send(ofA(newest - WINDOW_COUNTERS + 40));
    await send(ofA(0xffff_ffff));
    await arrived(before, 3);
    const { tagFailures, replays, rxPackets } = await b.counters();
    // What does not begin as a tag goes another way.
    expect([tagFailures, replays, rxPackets]).toEqual([BigInt(places.length - 1), 4n, 3n]);
    expect((await b.describe()).refused).toMatchObject({ untagged: 1n, replayed: 4n });
  });

  test('one that is of no session that is known goes up', async () => {
    await pairOf().openBoth({}, keys);
    const before = await pairOf().arrivedInB();
    await send(ofA(1, 2));
    await pairOf().heardInB(1);
    expect(await pairOf().arrivedInB()).toBe(before);
  });

  test('from elsewhere a fresh one is taken, which is told; answers go where the peer is', async () => {
    const { b, cable, ends } = pairOf();
    await pairOf().openBoth({}, keys);
    const before = await pairOf().arrivedInB();
    const elsewhere = { ip: ends.otherA, port: port(20_000) };
    using roamer = NamespaceSocket.udp(cable.a, elsewhere);
    const wrong = ofA(1).with(9, 0).with(10, 0).with(11, 0);
    for (const payload of [wrong, ofA(1), ofA(2), ofA(2), ofA(3)]) roamer.send(ends.b, payload);
    await arrived(before, 3);
    expect(roamer.received()).toEqual([]);
    const path = { local: ends.b, remote: elsewhere };
    await eventually(() => {
      const told = b.events.filter(({ event }) => event === 'roamed');
      expect(told[0]).toEqual({ event: 'roamed', peer: DEFAULT_PEER, path });
      // They came within a few milliseconds, or not, on a busy machine.
      expect(told.length).toBeLessThanOrEqual(3);
    });
    expect(await b.counters()).toMatchObject({ tagFailures: 0n, replays: 0n });
    await b.admit(path, DEFAULT_PEER, keys.b);
    roamer.send(ends.b, ofA(3));
    roamer.send(ends.b, ofA(4));
    await arrived(before, 4);
    await eventually(() => {
      expect(roamer.received().length).toBeGreaterThan(0);
    });
  });

  test('while keys change, every packet arrives, once', async () => {
    const pair = pairOf();
    const { a, b, cable, ends } = pair;
    await pair.openBoth({}, keys);
    const pinging = new Program(inside(cable.a, ['ping', '-i', '0.005', ends.innerB]));
    await pinging.waitFor(/icmp_seq=20 /);
    for (let session = 2; session <= 12; session += 1) {
      const receive = [session, session - 1];
      // Both can take the new key before one of them sends under it.
      const [early, late] = [
        endTags(level, session - 1, receive),
        endTags(level, session, receive),
      ];
      for (const tags of [early, late]) {
        await Promise.all([
          a.admit(ends.aToB, DEFAULT_PEER, tags.a),
          b.admit(ends.bToA, DEFAULT_PEER, tags.b),
        ]);
      }
      await allArrived(pair);
    }
    await expectNothingLost(pinging);
    await eventually(async () => {
      const [ofA, ofB] = await Promise.all([a.counters(), b.counters()]);
      expect(ofA).toMatchObject({ tagFailures: 0n, replays: 0n, rxPackets: ofB.txPackets });
      expect(ofB).toMatchObject({ tagFailures: 0n, replays: 0n, rxPackets: ofA.txPackets });
    });
  });
}

/*
 * Tags on the `bpf` plane, of all families, and what of them outlives a run. Topology: the drawings at the heads of
 * test/rig/plane-pair.ts and test/rig/two-hosts.ts.
 */
import { describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { DEFAULT_PEER, type PeerId } from '../../src/core/config/tunnel-config.ts';
import { decodeTagHeader } from '../../src/core/tag/layout.ts';
import { tagged } from '../../src/core/tag/tag.ts';
import { inner } from '../rig/addresses.ts';
import { COMBINATIONS, endsOf } from '../rig/ends.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import {
  B_TO_A,
  eventually,
  INNER_A,
  INNER_B,
  OF_B,
  onePair,
  pairForEach,
  type PlanePair,
} from '../rig/plane-pair.ts';
import { admitTagged, describeTags, TagSessions } from '../rig/tag-cases.ts';
import { innerEcho } from '../rig/traffic.ts';
import { expectTcp } from '../rig/transfer.ts';
import { tunnelled } from '../rig/tunnelled.ts';

describe.each(COMBINATIONS)('$outside outside, $inside inside', (combination) => {
  let pair: PlanePair;
  onePair({ a: 'bpf', ends: endsOf(combination) }, (made) => {
    pair = made;
  });
  describeTags(() => pair);
});

describe('after kill -9', () => {
  let pair: PlanePair;
  pairForEach('bpf', (made) => {
    pair = made;
  });

  test('tagged packets go on, no counter is used twice, and windows go on', async () => {
    const { cable, ends } = pair;
    await Promise.all([pair.openA(), pair.openB()]);
    const keys = await admitTagged(pair, new TagSessions('full'));
    using tap = NamespaceSocket.tapAll(cable.b);
    const seen: Uint8Array[] = [];
    const pinging = new Program(inside(cable.a, ['ping', '-i', '0.01', '-c', '300', INNER_B]));
    await pinging.waitFor(/icmp_seq=20 /);
    pair.b = await pair.b.killedAndAgain();
    seen.push(...tap.received());
    await pinging.waitFor(/icmp_seq=60 /);
    expect(await pair.b.open(OF_B)).toEqual(new Map([[DEFAULT_PEER, B_TO_A]]));
    seen.push(...tap.received());
    // What the session has, and what a rekeying changes.
    await pair.b.admit(B_TO_A, DEFAULT_PEER, keys.b);
    const { stdout } = await pinging.finished;
    expect(stdout).toMatch(/300 packets transmitted, 300 received, 0% packet loss/);
    seen.push(...tap.received());
    const counters = tunnelled(seen, ends.b.ip).map(
      ({ payload }) => decodeTagHeader(payload)?.counter,
    );
    // The tap has room for some at a time.
    expect(counters.length).toBeGreaterThan(100);
    expect(new Set(counters).size).toBe(counters.length);
    // What has come before the restart is not taken again.
    const old = tunnelled(seen, ends.a.ip)[5]?.payload;
    const arrived = await pair.arrivedInB();
    await pair.a.close('remove');
    using again = NamespaceSocket.udp(cable.a, ends.a);
    if (old) again.send(ends.b, old);
    const echo = innerEcho(INNER_A, INNER_B, 9);
    const fresh = { level: 'full', index: keys.a.send.index, counter: 100_000 } as const;
    again.send(ends.b, tagged(fresh, keys.a.send.key, echo));
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(arrived + 1);
      expect((await pair.b.counters()).replays).toBe(1n);
    });
  });

  test('keys of peers that are no more are gone, those of others change as ever', async () => {
    const { cable } = pair;
    await Promise.all([pair.openA(), pair.openB()]);
    const sessions = new TagSessions('header');
    await admitTagged(pair, sessions);
    pair.b = await pair.b.killedAndAgain();
    expect(await pair.b.open(OF_B)).toEqual(new Map([[DEFAULT_PEER, B_TO_A]]));
    for (let change = 0; change < 5; change += 1) {
      await admitTagged(pair, sessions);
      expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    }
    await expectTcp(cable.a, cable.b, INNER_B, 4 << 20);
    expect(await pair.b.counters()).toMatchObject({ tagFailures: 0n, replays: 0n });
  });
});

describe('a packet whose inner checksum is wrong, in a right tag', () => {
  let pair: PlanePair;
  pairForEach('bpf', (made) => {
    pair = made;
  });

  // Of a tag of the headers the kernel is told nothing; one of all says that it is as it was sent.
  test.each([
    ['header', 1],
    ['full', 0],
  ] as const)('at level %s', async (level, dropped) => {
    const { cable, ends, b } = pair;
    await pair.openB();
    const keys = new TagSessions(level).next();
    await b.admit(B_TO_A, DEFAULT_PEER, keys.b);
    using peer = NamespaceSocket.udp(cable.a, ends.a);
    const { index, key } = keys.a.send;
    const echo = innerEcho(INNER_A, INNER_B, 9);
    const before = await pair.arrivedInB();
    let counter = 0;
    const send = (packet: Uint8Array): void => {
      counter += 1;
      peer.send(ends.b, tagged({ level, index, counter }, key, packet));
    };
    await eventually(async () => {
      send(echo);
      expect(await pair.arrivedInB()).toBeGreaterThan(before);
    });
    const { rxPackets } = await b.counters();
    send(echo.with(echo.length - 1, 0));
    send(echo);
    await eventually(async () => {
      const taken = (await b.counters()).rxPackets;
      expect(taken).toBeGreaterThanOrEqual(rxPackets + 2n);
      expect(Number(taken) - ((await pair.arrivedInB()) - before)).toBe(dropped);
    });
  });
});

describe('more peers than there was room for', () => {
  let pair: PlanePair;
  pairForEach('bpf', (made) => {
    pair = made;
  });

  test.each([
    ['none', 1],
    ['full', 0],
  ] as const)(
    'programs are loaded again for tags where the config says %s',
    async (integrity, again) => {
      await Promise.all([
        pair.openA(),
        pair.openB({ peers: OF_B.peers.map((peer) => ({ ...peer, integrity })) }),
      ]);
      await admitTagged(pair, new TagSessions('full'));
      const enlarged = pair.b.events.filter(
        (event) => event.event === 'log' && event.text === 'maps enlarged',
      );
      expect(enlarged).toHaveLength(again);
    },
  );

  test('maps grow, and tags go on as they were', async () => {
    const { cable, ends } = pair;
    await Promise.all([pair.openA(), pair.openB()]);
    const keys = await admitTagged(pair, new TagSessions('full'));
    const pinging = new Program(inside(cable.a, ['ping', '-i', '0.01', '-c', '300', INNER_B]));
    await pinging.waitFor(/icmp_seq=20 /);
    using tap = NamespaceSocket.tapAll(cable.b);
    const more = Array.from({ length: 400 }, (_, index) => ({
      id: `peer${index}` as PeerId,
      innerIps: [inner(`100.64.${index >> 8}.${index & 255}`)],
      allowedIps: [],
    }));
    await pair.b.configure(more);
    const { stdout } = await pinging.finished;
    expect(stdout).toMatch(/300 packets transmitted, 300 received, 0% packet loss/);
    const sent = tunnelled(tap.received(), ends.b.ip).map(({ payload }) =>
      decodeTagHeader(payload),
    );
    expect(new Set(sent.map((header) => header?.counter)).size).toBe(sent.length);
    expect(sent.every((header) => header?.index === keys.b.send.index)).toBe(true);
  });

  test('who is evicted and comes back under the same keys goes on where he was', async () => {
    const { cable, ends, b } = pair;
    await pair.openB();
    const keys = new TagSessions('full').next();
    await b.admit(B_TO_A, DEFAULT_PEER, keys.b);
    using peer = NamespaceSocket.udp(cable.a, ends.a);
    const { index, key } = keys.a.send;
    const echo = innerEcho(INNER_A, INNER_B, 9);
    const first = tagged({ level: 'full', index, counter: 1 }, key, echo);
    const before = await pair.arrivedInB();
    peer.send(ends.b, first);
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
    await b.evict();
    await b.admit(B_TO_A, DEFAULT_PEER, keys.b);
    peer.send(ends.b, first);
    peer.send(ends.b, tagged({ level: 'full', index, counter: 2 }, key, echo));
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 2);
      expect((await b.counters()).replays).toBe(1n);
    });
    const answers = peer.received().map((payload) => decodeTagHeader(payload)?.counter);
    expect(answers).toEqual([1, 2]);
  });
});

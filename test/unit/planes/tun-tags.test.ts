import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeTagHeader,
  MAX_TAG_COUNTER,
  MAX_TAGGED_LENGTH,
  TAG_LENGTH,
} from '../../../src/core/tag/layout.ts';
import { isTaggedRight, tagged } from '../../../src/core/tag/tag.ts';
import { TAG_KEY_LENGTH, type TagKeys, type TagLevel } from '../../../src/core/tag/types.ts';
import { WINDOW_COUNTERS } from '../../../src/core/tag/window.ts';
import type { InnerIp } from '../../../src/core/addr.ts';
import { randomBytes } from '../tag/tag-vectors.ts';
import { AUTH, BothFamilies, FOUR, PATH4, PATH6, SIX } from './tun-both-families.ts';
import { cut, type DevicePacket } from './tun-device.ts';
import { leavePartial, parsePath, pattern, tcpPacket, udpPacket } from './tun-packets.ts';

const OURS = 0x012345;
const THEIRS = 0xabcdef;
const keyOf = (seed: number): Uint8Array => randomBytes(seed, TAG_KEY_LENGTH);

function keys(level: TagLevel, seed = 1, index = OURS): TagKeys {
  return {
    level,
    send: { index: THEIRS, key: keyOf(seed) },
    receive: [{ index, key: keyOf(seed + 100) }],
  };
}

/** Of the peer `four`, whose inner address ends with 3. */
const toFour = { source: '172.28.0.1' as InnerIp, destination: '172.28.0.3' as InnerIp };
const fromFour = { source: '172.28.0.3' as InnerIp, destination: '172.28.0.1' as InnerIp };
const ELSEWHERE = parsePath('192.0.2.1:10000', '198.51.100.7:4000');
const OUTER6 = parsePath('[2001:db8::1]:10000', '[2001:db8:1::7]:4000');

function bench(level: TagLevel): BothFamilies {
  const all = new BothFamilies();
  all.peers.admit(FOUR, 1, PATH4, keys(level));
  return all;
}

/** A packet of the peer's as it comes. */
function arriving(level: TagLevel, counter: number, packet = udpPacket(pattern(40), fromFour)) {
  return tagged({ level, index: OURS, counter }, keyOf(101), packet);
}

function totals(all: BothFamilies, slot = 1) {
  all.peers.count(all.counters, 1);
  return all.counters.peer(slot);
}

/** The datagrams that were sent, trains cut up. */
function datagrams(all: BothFamilies): readonly Uint8Array[] {
  return all.sent.flatMap(({ segment, payload }) => {
    const size = segment ?? payload.length;
    const count = Math.ceil(payload.length / size);
    return Array.from({ length: count }, (_, at) => payload.slice(at * size, (at + 1) * size));
  });
}

describe.each(['header', 'full'] as const)('tags out of the device: %s', (level) => {
  test('packets, whole and cut up, carry them, and are the same inside', () => {
    const traffic = fc.array(
      fc.record({
        length: fc.integer({ min: 1, max: 6000 }),
        size: fc.constantFrom(0, 1, 11, 12, 13, 300, 1000, 1404),
        options: fc.constantFrom(0, 12, 40),
        ipv6: fc.boolean(),
      }),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(traffic, (packets) => {
        const all = bench(level);
        const expected: Uint8Array[] = [];
        for (const { length, size, options, ipv6 } of packets) {
          const family = ipv6 ? 'ipv6' : 'ipv4';
          const addresses = ipv6
            ? { source: 'fd28::1' as InnerIp, destination: 'fd28::3' as InnerIp }
            : toFour;
          const bytes = size === 0 ? length % 1400 : Math.min(length, size * 40);
          const whole = tcpPacket({
            ...addresses,
            ...(ipv6 ? { family } : {}),
            options: new Uint8Array(options).fill(1),
            payload: pattern(bytes),
          });
          const ip = ipv6 ? 40 : 20;
          const header = {
            ...{ flags: 1, gsoType: size === 0 ? 0 : ipv6 ? 4 : 1, gsoSize: size },
            ...{ headerLength: ip + 20 + options, checksumStart: ip, checksumOffset: 16 },
          };
          const device: DevicePacket = { packet: leavePartial(whole), header };
          const pieces = cut(device.packet, header);
          if (!pieces) continue;
          expected.push(...pieces);
          all.device.push(device);
        }
        all.runOut();
        const sent = datagrams(all);
        expect(sent.map((payload) => payload.slice(TAG_LENGTH))).toEqual(expected);
        expect(sent.map((payload) => decodeTagHeader(payload))).toEqual(
          sent.map((_, index) => ({ level, index: THEIRS, counter: index + 1 })),
        );
        expect(sent.filter((payload) => !isTaggedRight(keyOf(1), payload))).toEqual([]);
        const bytes = expected.reduce((sum, { length }) => sum + length, 0);
        expect(totals(all)).toMatchObject({
          txPackets: BigInt(expected.length),
          txBytes: BigInt(bytes),
        });
      }),
      { numRuns: 15 },
    );
  });

  test('what a train cannot take goes on with the tags that it had', () => {
    const all = bench(level);
    const packet = leavePartial(tcpPacket({ ...toFour, payload: pattern(3000) }));
    const header = { flags: 1, gsoType: 1, headerLength: 40, gsoSize: 1000, checksumStart: 20 };
    all.device.push({ packet, header: { ...header, checksumOffset: 16 } });
    all.full.add('ipv4');
    expect(all.runOut()).toBe('full');
    all.full.delete('ipv4');
    expect(all.runOut()).toBe('done');
    expect(all.sent.map(({ segment }) => segment)).toEqual([TAG_LENGTH + 1040]);
    expect(datagrams(all).every((payload) => isTaggedRight(keyOf(1), payload))).toBe(true);
  });

  test('nothing is longer than a tag can be before', () => {
    const all = bench(level);
    const fits = udpPacket(pattern(MAX_TAGGED_LENGTH - 28), toFour);
    all.out(fits, udpPacket(pattern(MAX_TAGGED_LENGTH - 27), toFour));
    expect(datagrams(all)).toHaveLength(1);
    expect(all.refused.map(({ why }) => why)).toEqual([
      { kind: 'too-big', mtu: MAX_TAGGED_LENGTH },
    ]);
  });

  test('after the last counter nothing is sent', () => {
    const all = bench(level);
    const { tags } = all.peers.get(FOUR) ?? {};
    if (!tags) throw new Error('no tags');
    tags.send.counter.last = MAX_TAG_COUNTER - 1;
    const packet = udpPacket(pattern(40), toFour);
    all.out(packet, packet);
    all.out(packet);
    const sent = datagrams(all);
    expect(sent.map((payload) => decodeTagHeader(payload)?.counter)).toEqual([MAX_TAG_COUNTER]);
    expect(all.counters.losses('exhausted')).toBe(2n);
  });

  test('other peers have none', () => {
    const all = bench(level);
    const packet = udpPacket(pattern(40), { destination: '172.28.0.2' as InnerIp });
    all.out(packet);
    expect(datagrams(all)).toEqual([packet]);
  });
});

describe.each(['header', 'full'] as const)('tags into the device: %s', (level) => {
  test('a packet is taken once, and not when any one bit that is proved is another', () => {
    const all = bench(level);
    const right = arriving(level, 7);
    const proved = level === 'full' ? right.length : TAG_LENGTH + 64;
    for (let bit = 0; bit < proved * 8; bit += 1) {
      const payload = right.slice();
      payload[bit >> 3] = (payload[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      all.in({ path: PATH4, payload });
    }
    expect(all.written).toEqual([]);
    all.in({ path: PATH4, payload: right }, { path: PATH4, payload: right });
    expect(all.written).toEqual([right.slice(TAG_LENGTH)]);
    const { tagFailures, replays, rxPackets, rxBytes } = totals(all);
    const bytes = BigInt(right.length - TAG_LENGTH);
    expect([replays, rxPackets, rxBytes]).toEqual([1n, 1n, bytes]);
    expect(tagFailures).toBeGreaterThan(100n);
    expect(all.counters.losses('replayed')).toBe(1n);
    expect(all.counters.losses('bad-tag') + all.counters.losses('level')).toBe(tagFailures);
  });

  test('trains are taken apart, and put together without them', () => {
    const all = bench(level);
    const segment = (index: number) =>
      tcpPacket({ ...fromFour, sequence: 1 + index * 1000, payload: pattern(1000, index) });
    const packets = Array.from({ length: 20 }, (_, index) => segment(index));
    const payload = Buffer.concat(packets.map((packet, at) => arriving(level, at + 1, packet)));
    all.in({ path: PATH4, payload: Uint8Array.from(payload), size: TAG_LENGTH + 1040 });
    expect(all.written.map(({ length }) => length)).toEqual([40 + 20 * 1000]);
    const parts = packets.map((packet) => packet.slice(40));
    expect(all.written[0]?.slice(40)).toEqual(Uint8Array.from(Buffer.concat(parts)));
  });

  test('the window is as wide as it is said to be', () => {
    const all = bench(level);
    const newest = 5000;
    const counters = [newest, newest - WINDOW_COUNTERS + 1, newest - WINDOW_COUNTERS, 0];
    all.in(...counters.map((counter) => ({ path: PATH4, payload: arriving(level, counter) })));
    expect(all.written).toHaveLength(2);
    expect(totals(all).replays).toBe(2n);
  });

  test('data without them is refused of a peer that has them; and with them of one that has none', () => {
    const all = bench(level);
    const packet = udpPacket(pattern(40), fromFour);
    all.in({ path: PATH4, payload: packet });
    expect([totals(all).untagged, all.counters.losses('untagged')]).toEqual([1n, 1n]);
    const other = tagged({ level, index: OURS + 1, counter: 1 }, keyOf(101), packet);
    all.in({ path: PATH6, payload: other });
    expect(all.control.map(({ payload }) => payload)).toEqual([other]);
    expect(all.written).toEqual([]);
  });

  test('another level than was agreed on is refused', () => {
    const all = bench(level);
    all.in({ path: PATH4, payload: arriving(level === 'full' ? 'header' : 'full', 1) });
    expect([all.written.length, totals(all).tagFailures]).toEqual([0, 1n]);
    expect(all.counters.losses('level')).toBe(1n);
  });

  test('what is of no session goes up within a budget, and comes back when there is one', () => {
    const all = new BothFamilies();
    const [early, late] = [arriving(level, 1), arriving(level, 2)];
    all.in({ path: PATH4, payload: early }, { path: ELSEWHERE, payload: late });
    expect(all.control.map(({ payload }) => payload)).toEqual([early, late]);
    all.inbound.ipv4.letThrough(PATH4, early);
    expect(all.written).toEqual([]);
    all.peers.admit(FOUR, 1, PATH4, keys(level));
    for (const payload of [early, early, late]) all.inbound.ipv4.letThrough(PATH4, payload);
    all.inbound.ipv4.letThrough(PATH4, udpPacket(pattern(40), fromFour));
    expect(all.written).toEqual([early, late].map((payload) => payload.slice(TAG_LENGTH)));
    const flood = Array.from({ length: 200 }, (_, at) => ({
      path: ELSEWHERE,
      payload: tagged({ level, index: 9, counter: at + 1 }, keyOf(3), new Uint8Array(40)),
    }));
    all.control.length = 0;
    all.in(...flood);
    expect(all.control.length).toBeGreaterThan(0);
    expect(all.control.length).toBeLessThan(20);
    expect(all.counters.losses('unknown-session')).toBe(BigInt(200 - all.control.length));
  });

  test('data under keys that are gone leaves the peer the budget of what it says', () => {
    const all = bench(level);
    const data = Array.from({ length: 200 }, (_, at) => ({
      path: PATH4,
      payload: tagged({ level, index: 9, counter: at + 1 }, keyOf(3), new Uint8Array(40)),
    }));
    all.in(...data);
    const { length } = all.control;
    expect([length > 0, length < 10]).toEqual([true, true]);
    all.in({ path: PATH4, payload: new Uint8Array(AUTH) });
    expect(all.control).toHaveLength(length + 1);
  });

  test('authentication that looks so goes up', () => {
    const all = bench(level);
    const payload = arriving(level, 1, new Uint8Array(AUTH - TAG_LENGTH)).with(1, 0x77);
    for (const path of [PATH4, PATH6, ELSEWHERE]) all.in({ path, payload });
    expect(all.control).toHaveLength(3);
    expect(all.counters.losses('unknown-session')).toBe(0n);
  });

  test('an inner source that is not its own is refused, and what is no packet', () => {
    const all = bench(level);
    const foreign = udpPacket(pattern(40), { source: '172.28.0.2' as InnerIp });
    all.in({ path: PATH4, payload: arriving(level, 1, foreign) });
    all.in({ path: PATH4, payload: arriving(level, 2, new Uint8Array(60)) });
    expect([all.written.length, totals(all).foreign]).toEqual([0, 1n]);
    expect(all.counters.losses('malformed')).toBe(1n);
  });

  test.each([
    { what: 'another address', path: ELSEWHERE },
    { what: 'an address of another family', path: OUTER6 },
    { what: 'where another peer is', path: PATH6 },
  ])('a fresh packet from $what is taken, and that is told', ({ path }) => {
    const all = bench(level);
    const payloads = [1, 2, 3, 4].map((counter) => arriving(level, counter));
    const [first, second, third, fourth] = payloads.map((payload) => ({ path, payload }));
    if (!first || !second || !third || !fourth) throw new Error('too few');
    all.in(first, second, first);
    expect(all.roamed).toEqual([{ peer: FOUR, path }]);
    all.now = 99;
    all.in(third);
    expect(all.roamed).toHaveLength(1);
    all.now = 100;
    all.in(fourth);
    expect(all.roamed).toHaveLength(2);
    expect(all.written).toHaveLength(4);
    expect(totals(all)).toMatchObject({ rxPackets: 4n, replays: 0n });
    // What goes to it goes where it is admitted.
    all.out(udpPacket(pattern(40), toFour));
    expect(all.sent[0]?.family).toBe('ipv4');
  });

  test('wrong tags from elsewhere are strangers', () => {
    const all = bench(level);
    const payload = arriving(level, 1).fill(0xee, 8, 12);
    all.in({ path: ELSEWHERE, payload });
    expect([all.strangers, all.roamed.length, totals(all).tagFailures]).toEqual([1, 0, 0n]);
    expect(all.counters.losses('bad-tag')).toBe(1n);
  });
});

describe('keys of tags', () => {
  const packet = udpPacket(pattern(40), fromFour);
  const come = (all: BothFamilies, index: number, seed: number, counter: number): boolean => {
    const before = all.written.length;
    const payload = tagged({ level: 'full', index, counter }, keyOf(seed), packet);
    all.in({ path: PATH4, payload });
    return all.written.length > before;
  };
  const sendOne = (all: BothFamilies): number | undefined => {
    all.sent.length = 0;
    all.out(udpPacket(pattern(40), toFour));
    return decodeTagHeader(all.sent[0]?.payload ?? new Uint8Array())?.counter;
  };

  test('counters and windows of a session go on under others beside it, and without the peer', () => {
    const all = bench('full');
    expect([come(all, OURS, 101, 5), sendOne(all), sendOne(all)]).toEqual([true, 1, 2]);
    const [first] = keys('full').receive;
    if (!first) throw new Error('no key');
    const second = { index: OURS + 1, key: keyOf(201) };
    const { send } = keys('full');
    all.peers.admit(FOUR, 1, ELSEWHERE, { level: 'full', send, receive: [second, first] });
    expect([come(all, OURS, 101, 5), come(all, OURS, 101, 6)]).toEqual([false, true]);
    expect([come(all, OURS + 1, 201, 1), sendOne(all)]).toEqual([true, 3]);
    all.peers.evict(FOUR);
    expect([come(all, OURS, 101, 7), sendOne(all)]).toEqual([false, undefined]);
    all.peers.admit(FOUR, 1, PATH4, { level: 'full', send, receive: [second] });
    expect([come(all, OURS + 1, 201, 1), come(all, OURS + 1, 201, 2)]).toEqual([false, true]);
    expect([come(all, OURS, 101, 8), sendOne(all)]).toEqual([false, 4]);
  });

  test('another key under the same index is another session', () => {
    const all = bench('full');
    expect([come(all, OURS, 101, 5), sendOne(all)]).toEqual([true, 1]);
    all.peers.admit(FOUR, 1, PATH4, keys('full', 2));
    expect([come(all, OURS, 101, 6), come(all, OURS, 102, 5), sendOne(all)]).toEqual([
      false,
      true,
      1,
    ]);
  });

  test('an index of another peer is refused, and all stays as it was', () => {
    const all = bench('full');
    expect(all.peers.admit(SIX, 0, PATH6, keys('full', 2))).toBe('index');
    expect(all.peers.admit(SIX, 0, PATH4, keys('full', 2, OURS + 1))).toBe('path');
    expect([all.peers.get(SIX)?.tags, come(all, OURS, 101, 1)]).toEqual([undefined, true]);
    all.peers.remove(FOUR);
    expect(all.peers.admit(SIX, 0, PATH6, keys('full', 2))).toBeUndefined();
  });

  test('without tags a peer has none any more, and nothing is kept of them', () => {
    const all = bench('full');
    expect(all.peers.tags.size).toBe(1);
    all.peers.admit(FOUR, 1, PATH4);
    expect([all.peers.tags.size, come(all, OURS, 101, 1), sendOne(all)]).toEqual([
      0,
      false,
      undefined,
    ]);
    expect(datagrams(all)).toEqual([udpPacket(pattern(40), toFour)]);
    all.peers.admit(FOUR, 1, PATH4, keys('full'));
    all.peers.remove(FOUR);
    expect(all.peers.tags.size).toBe(0);
  });
});

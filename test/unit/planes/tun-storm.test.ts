import { describe, expect, test } from 'vitest';
import { ipv6Words } from '../../../src/adapters/planes/tun/ipv6-words.ts';
import { stormFilter } from '../../../src/adapters/planes/tun/storm-filter.ts';
import { Storm } from '../../../src/adapters/planes/tun/storm.ts';
import type { OuterIp } from '../../../src/core/addr.ts';
import { STORM } from '../../../src/core/budgets.ts';
import { HINT_OFFSET } from '../../../src/core/auth/trailer.ts';
import { passesFilter } from './classic-bpf.ts';

const HINT = 0x0102_0304;
const PEER = 0xcb00_7101;
const STRANGER = 0xc612_0009;

/** What the kernel makes of a datagram. */
function judge(filter: Uint8Array, source: number, payload: Uint8Array, random: number): boolean {
  const data = new Uint8Array(8 + payload.length);
  data.set(payload, 8);
  return passesFilter(filter, { data, words: { 0xfff0_000c: source, 0xffff_f038: random } });
}

function request(hint: number): Uint8Array {
  const payload = new Uint8Array(85).fill(0x99);
  new DataView(payload.buffer).setUint32(HINT_OFFSET, hint);
  return payload;
}

const numbers = (count: number, first: number) =>
  Array.from({ length: count }, (_, at) => first + at);

describe.each([
  { what: 'few', sources: [PEER], hints: [HINT] },
  { what: 'as many as fit', sources: [...numbers(99, 1), PEER], hints: [...numbers(99, 1), HINT] },
])('in a storm, with $what addresses and hints', ({ sources, hints }) => {
  const filter = stormFilter({ sources, hints }, { rest: 0.01 }) ?? new Uint8Array();
  const [low, high] = [0x0100_0000, 0xf000_0000];

  test.each([
    { what: 'a peer', source: PEER, payload: request(7), random: high, passes: true },
    {
      what: 'a peer with nothing to say',
      source: PEER,
      payload: new Uint8Array(),
      random: high,
      passes: true,
    },
    { what: 'a known hint', source: STRANGER, payload: request(HINT), random: high, passes: true },
    {
      what: 'another hint',
      source: STRANGER,
      payload: request(0xabcd_ef01),
      random: high,
      passes: false,
    },
    {
      what: 'one of a hundred',
      source: STRANGER,
      payload: request(0xabcd_ef01),
      random: low,
      passes: true,
    },
    {
      what: 'what is short',
      source: STRANGER,
      payload: new Uint8Array(3),
      random: high,
      passes: false,
    },
    {
      what: 'data',
      source: STRANGER,
      payload: new Uint8Array(40).fill(0x45),
      random: high,
      passes: false,
    },
  ])('$what: $passes', ({ source, payload, random, passes }) => {
    expect(judge(filter, source, payload, random)).toBe(passes);
  });
});

test('where not all addresses fit, what may be data passes', () => {
  const filter =
    stormFilter({ sources: numbers(101, 1), hints: [HINT] }, { rest: 0 }) ?? new Uint8Array();
  const of = (payload: Uint8Array, source = STRANGER) => judge(filter, source, payload, 1);
  expect(of(new Uint8Array(40).fill(0x45))).toBe(true);
  expect(of(new Uint8Array(40).fill(0x65))).toBe(false);
  expect(of(new Uint8Array(3).fill(0x45))).toBe(false);
  expect(of(request(HINT))).toBe(true);
  expect(of(request(7), 101)).toBe(true);
});

describe('in a storm, of session 2', () => {
  const [low, middle, high] = [0x0100_0000, 0x4000_0000, 0xf000_0000];
  const tagged = (head: number, length = 36): Uint8Array => {
    const payload = new Uint8Array(length).fill(7);
    new DataView(payload.buffer).setUint32(0, head);
    return payload;
  };
  const first = new Uint8Array(200).fill(7).with(0, 0xf1);

  test.each([
    { what: 'few', heads: [0x1200_0005] },
    { what: 'as many as fit', heads: [...numbers(99, 0x1200_0100), 0x1200_0005] },
    { what: 'too many', heads: [...numbers(100, 0x1200_0100), 0x1200_0005] },
  ])('with $what sessions, what is tagged under one of them passes', ({ heads }) => {
    const filter =
      stormFilter({ sources: [PEER], hints: [HINT], heads }, { rest: 0.01 }) ?? new Uint8Array();
    const of = (payload: Uint8Array): boolean => judge(filter, STRANGER, payload, high);
    expect(heads.slice(-100).every((head) => of(tagged(head)))).toBe(true);
    expect(of(tagged(0x1200_0005, 35))).toBe(false);
    expect(of(tagged(0x1100_0007))).toBe(heads.length > 100);
    expect(of(tagged(0x1300_0005))).toBe(false);
    expect([of(request(HINT)), of(request(7)), of(new Uint8Array())]).toEqual([true, false, false]);
    expect(judge(filter, PEER, tagged(3), high)).toBe(true);
  });

  test.each([1, 2, 10])('first messages of one part in %d of all sources pass', (count) => {
    const facts = { sources: [PEER], hints: [HINT], heads: [0x1200_0005] };
    const odd = 0x9e37_79b1;
    const filters = numbers(count, 0).map(
      (at) => stormFilter(facts, { rest: 0.01, first: { odd, count, at } }) ?? new Uint8Array(),
    );
    const sources = numbers(2000, STRANGER);
    const passing = filters.map((filter) =>
      sources.filter((source) => judge(filter, source, first, high)),
    );
    // Each source has one turn.
    expect(passing.flat().toSorted((a, b) => a - b)).toEqual(sources);
    for (const { length } of passing) {
      expect(length).toBeGreaterThan(1000 / count);
      expect(length).toBeLessThan(4000 / count);
    }
    const of = (payload: Uint8Array, random: number) =>
      filters.map((filter) => judge(filter, STRANGER, payload, random)).includes(true);
    for (const other of [first.slice(1), first.with(0, 0xf2)]) {
      expect([of(other, low), of(other, high)]).toEqual([true, false]);
    }
  });

  test('first messages are as others where they are not tested', () => {
    const facts = { sources: [PEER], hints: [HINT], heads: [0x1200_0005] };
    const plain = stormFilter(facts, { rest: 0.01 }) ?? new Uint8Array();
    expect(judge(plain, STRANGER, first, middle)).toBe(false);
  });
});

test('more hints than fit are no reason to keep their owners out', () => {
  expect(stormFilter({ sources: [], hints: numbers(101, 1) }, { rest: 0.01 })).toBeUndefined();
});

/** Forged sources: addresses in a row are no even sample of what a multiplication makes parts of. */
function anywhere(at: number): number {
  const mixed = Math.imul(at ^ (at >>> 16) ^ STRANGER, 0x85eb_ca6b);
  const more = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (more ^ (more >>> 16)) >>> 0;
}

/** A storm on a socket that drops what its filter does not let through, and what it has no room for. */
function stormOn() {
  const now = {
    ...{ time: 0, dropped: 2 ** 32 - 100, full: 0, attached: [] as boolean[] },
    filter: undefined as Uint8Array | undefined,
  };
  const storm = new Storm({
    now: () => now.time,
    facts: () => ({ sources: [PEER], hints: [HINT] }),
    tested: () => true,
    backlog: () => ({ dropped: now.dropped, full: now.full }),
    attach: (filter) => {
      now.attached.push(filter !== undefined);
      now.filter = filter;
      return true;
    },
  });
  /** So many packets in so many milliseconds, of which these are dropped. */
  const come = (packets: number, dropped = 0, duration = 1000, others = packets): void => {
    for (let packet = 0; packet < packets; packet += 1) {
      now.time += duration / packets;
      now.dropped = (now.dropped + dropped / packets) % 2 ** 32;
      storm.packet(
        Math.floor((packet * others) / packets) === Math.floor(((packet + 1) * others) / packets),
      );
    }
  };
  const share = (count: number, passes: (filter: Uint8Array, at: number) => boolean): number => {
    const { filter } = now;
    return filter ? numbers(count, 0).filter((at) => passes(filter, at)).length / count : 1;
  };
  const first = new Uint8Array(200).fill(7).with(0, 0xf1);
  const parts = (): number =>
    1 / share(10_000, (filter, at) => judge(filter, anywhere(at), first, 1));
  const others = (): number =>
    share(1000, (filter, at) => judge(filter, STRANGER, request(7), at * 4_294_967));
  return { now, storm, come, parts, others };
}

test('the filter comes with a storm, follows it, and goes with it', () => {
  const { now, storm, come } = stormOn();
  come(STORM.from / 2);
  expect(now.attached).toEqual([]);
  come(50_000);
  expect(now.attached.at(-1)).toBe(true);
  const count = now.attached.length;
  storm.changed();
  expect(now.attached).toHaveLength(count + 1);
  // What the filter lets through of as large a storm.
  come(STORM.pass, 50_000);
  come(STORM.pass, 50_000);
  expect(now.attached.at(-1)).toBe(true);
  for (let quiet = 0; quiet < 100; quiet += 1) come(10);
  expect(now.attached.at(-1)).toBe(false);
  storm.close();
});

test('a storm is seen before what comes fills the socket', () => {
  const { now, storm, come } = stormOn();
  come(10_000, 0, 100);
  expect(now.attached.at(-1)).toBe(true);
  storm.close();
});

test('what the socket drops counts while strangers send, and is nothing alone', () => {
  const { now, storm, come, parts } = stormOn();
  // Peers send more than the socket holds.
  come(STORM.from / 2, 1_000_000);
  expect(now.attached).toEqual([]);
  for (let more = 0; more < 8; more += 1) come(10_000, 190_000, 1000, 0);
  expect(parts()).toBeGreaterThan(14);
  expect(parts()).toBeLessThan(28);
  for (let quiet = 0; quiet < 100; quiet += 1) come(10, 1000);
  expect(now.attached.at(-1)).toBe(false);
  storm.close();
});

test('others pass in a flood of first messages while they are few, and fewer when they are many', () => {
  const { now, storm, come, others } = stormOn();
  come(20_000, 0, 1000, 20);
  come(10_000, 10_000, 1000, 20);
  expect(now.attached.at(-1)).toBe(true);
  expect(others()).toBe(1);
  come(30_000, 10_000, 1000, 20_000);
  expect(others()).toBeLessThan(0.06);
  come(10_000 + STORM.pass, 29_500, 1000, STORM.pass);
  expect(others()).toBeLessThan(0.06);
  storm.close();
});

test('as many first messages pass as do not pile up', () => {
  const { now, storm, come, parts } = stormOn();
  const { least, most, start } = STORM.passFirst;
  const flood = (): void => come(2000, 18_000, 1000, 0);
  const passing = (): number => 20_000 / parts();
  come(20_000, 0, 100, 0);
  expect(passing()).toBeLessThan(2 * start);
  for (let more = 0; more < 10; more += 1) flood();
  expect(passing()).toBeGreaterThan(most / 1.5);
  now.full = 0.5;
  flood();
  flood();
  expect(passing()).toBeLessThan(most / 8);
  for (let more = 0; more < 10; more += 1) flood();
  expect(passing()).toBeGreaterThan(least / 2);
  storm.close();
});

describe('in a storm over IPv6', () => {
  const words = (text: string) => ipv6Words(text as OuterIp);
  const network = words('2001:db8:1:2::').slice(0, 2);
  const [low, high] = [0x0100_0000, 0xf000_0000];

  /** What the kernel makes of a datagram from this address. */
  function judge6(
    filter: Uint8Array,
    source: string,
    payload: Uint8Array,
    random: number,
  ): boolean {
    const data = new Uint8Array(8 + payload.length);
    data.set(payload, 8);
    const address = new DataView(words(source).slice().buffer);
    const [first, second] = [address.getUint32(0), address.getUint32(4)];
    const at = { 0xfff0_0008: first, 0xfff0_000c: second, 0xffff_f038: random };
    return passesFilter(filter, { data, words: at });
  }

  test.each([
    { what: 'one that a peer was admitted in', networks: [network] },
    {
      what: 'as many as fit',
      networks: [...numbers(99, 1).map((n) => Uint32Array.of(network[0] ?? 0, n)), network],
    },
  ])('with $what, its whole /64 passes and no other', ({ networks }) => {
    const filter =
      stormFilter({ sources: [], networks, hints: [HINT] }, { rest: 0.01 }) ?? new Uint8Array();
    const judge = (source: string, payload: Uint8Array, random: number): boolean =>
      judge6(filter, source, payload, random);
    expect(judge('2001:db8:1:2::7', request(7), high)).toBe(true);
    expect(judge('2001:db8:1:2:ffff::7', new Uint8Array(), high)).toBe(true);
    expect(judge('2001:db8:1:3::7', request(7), high)).toBe(false);
    expect(judge('2001:db8:2:2::7', request(7), high)).toBe(false);
    expect(judge('2001:db8:1:3::7', request(HINT), high)).toBe(true);
    expect(judge('2001:db8:1:3::7', request(7), low)).toBe(true);
  });

  test('with no network known, hints and a share pass', () => {
    const filter =
      stormFilter({ sources: [], networks: [], hints: [HINT] }, { rest: 0.01 }) ?? new Uint8Array();
    expect(judge6(filter, '2001:db8::7', request(HINT), high)).toBe(true);
    expect(judge6(filter, '2001:db8::7', request(7), high)).toBe(false);
    expect(judge6(filter, '2001:db8::7', request(7), low)).toBe(true);
  });

  test('with more networks than fit, what may be data of a family that is carried passes', () => {
    const networks = numbers(101, 1).map((n) => Uint32Array.of(network[0] ?? 0, n));
    const of = (versions: readonly number[]) =>
      stormFilter({ sources: [], networks, hints: [], versions }, { rest: 0.01 }) ??
      new Uint8Array();
    const data = (version: number) => new Uint8Array(40).fill(version << 4, 0, 1);
    const passes = (versions: readonly number[]) =>
      [4, 5, 6].filter((version) => judge6(of(versions), '2001:db8:9::', data(version), high));
    expect([passes([4, 6]), passes([6]), passes([4])]).toEqual([[4, 6], [6], [4]]);
    expect(judge6(of([4, 6]), '2001:db8:9::', data(6).slice(0, 19), high)).toBe(false);
  });
});

import { describe, expect, test } from 'vitest';
import { stormFilter } from '../../../src/adapters/planes/tun/storm-filter.ts';
import { Storm } from '../../../src/adapters/planes/tun/storm.ts';
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
  const filter = stormFilter({ sources, hints }, 0.01) ?? new Uint8Array();
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
  const filter = stormFilter({ sources: numbers(101, 1), hints: [HINT] }, 0) ?? new Uint8Array();
  const of = (payload: Uint8Array, source = STRANGER) => judge(filter, source, payload, 1);
  expect(of(new Uint8Array(40).fill(0x45))).toBe(true);
  expect(of(new Uint8Array(40).fill(0x65))).toBe(false);
  expect(of(new Uint8Array(3).fill(0x45))).toBe(false);
  expect(of(request(HINT))).toBe(true);
  expect(of(request(7), 101)).toBe(true);
});

test('more hints than fit are no reason to keep their owners out', () => {
  expect(stormFilter({ sources: [], hints: numbers(101, 1) }, 0.01)).toBeUndefined();
});

test('the filter comes with a storm, follows it, and goes with it', () => {
  let time = 0;
  const attached: boolean[] = [];
  const storm = new Storm({
    now: () => time,
    facts: () => ({ sources: [PEER], hints: [HINT] }),
    attach: (filter) => {
      attached.push(filter !== undefined);
      return true;
    },
  });
  const second = (packets: number): void => {
    for (let packet = 0; packet < packets; packet += 1) {
      time += 1000 / packets;
      storm.packet();
    }
  };
  second(STORM.from / 2);
  expect(attached).toEqual([]);
  second(50_000);
  expect(attached.at(-1)).toBe(true);
  const count = attached.length;
  storm.changed();
  expect(attached).toHaveLength(count + 1);
  // What the filter lets through of as large a storm.
  second(STORM.pass);
  second(STORM.pass);
  expect(attached.at(-1)).toBe(true);
  for (let quiet = 0; quiet < 100; quiet += 1) second(10);
  expect(attached.at(-1)).toBe(false);
  storm.close();
});

import { describe, expect, test } from 'vitest';
import { BucketTable } from '../../../src/adapters/planes/bucket-table.ts';
import { ControlGate } from '../../../src/adapters/planes/tun/control-gate.ts';
import {
  HintTable,
  hintWords,
  type HintWords,
} from '../../../src/adapters/planes/tun/hint-table.ts';
import { CONTROL_LIMITS } from '../../../src/core/budgets.ts';
import { AUTH_V1_REQUEST_LENGTH } from '../../../src/core/auth/trailer.ts';
import { millis } from '../../../src/core/units.ts';

const LENGTH = AUTH_V1_REQUEST_LENGTH;
const HINT = hintWords(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
const OTHER: HintWords = [9, 9];
const NONE: HintWords = [0, 0];
const OWNER = 0xcb007101;
const ATTACKER = 0xc6120009;

/** A gate whose session answers at once, or never, and its clock. */
class Bench {
  time = 0;
  readonly hints = new HintTable();
  readonly gate = new ControlGate(new Set([LENGTH]), this.hints, () => millis(this.time));
  readonly #answers: boolean;

  constructor({ answers = true } = {}) {
    this.#answers = answers;
    this.hints.add(HINT);
  }

  stranger(source: number, hint: HintWords = NONE, length = LENGTH): boolean {
    return this.#dealt(this.gate.passStranger(source, length, ...hint));
  }

  peer(peer: Parameters<ControlGate['passPeer']>[0]): boolean {
    return this.#dealt(this.gate.passPeer(peer));
  }

  /** How many of `perSecond` packets a second get through in so many seconds; `also` before each. */
  flood(perSecond: number, seconds: number, packet: (index: number) => boolean): number {
    let passed = 0;
    for (let index = 0; index < perSecond * seconds; index += 1) {
      this.time += 1000 / perSecond;
      if (packet(index)) passed += 1;
    }
    return passed;
  }

  #dealt(passed: boolean): boolean {
    if (passed && this.#answers) this.gate.settled();
    return passed;
  }
}

/** Another address for every packet. */
const forged = (index: number): number => 0xc6120000 + (index % 65_536);

describe('under a flood of 50000 packets a second from forged sources', () => {
  test.each([
    { what: 'a client with a known hint', enters: (b: Bench) => b.stranger(OWNER, HINT) },
    {
      what: 'a client from an address that it was admitted at',
      enters: (b: Bench) => b.stranger(OWNER),
    },
    { what: 'an admitted peer', enters: (b: Bench) => b.peer({ controlBucket: undefined }) },
  ])('$what gets in', ({ enters }) => {
    const bench = new Bench();
    bench.gate.remember(OWNER);
    let tries = 0;
    let entered = 0;
    const passed = bench.flood(50_000, 4, (index) => {
      if (index % 50_000 === 40_000) {
        tries += 1;
        if (enters(bench)) entered += 1;
      }
      return bench.stranger(forged(index), OTHER);
    });
    expect([entered, tries]).toEqual([4, 4]);
    const { perSecond, burst } = CONTROL_LIMITS.strangers;
    expect(passed).toBeLessThanOrEqual(perSecond * 4 + burst);
  });

  test('so it does while the session has more to do than it can', () => {
    const bench = new Bench({ answers: false });
    bench.gate.remember(OWNER);
    bench.flood(50_000, 2, (index) => bench.stranger(forged(index), OTHER));
    expect(bench.stranger(OWNER, HINT)).toBe(true);
    expect(bench.stranger(OWNER)).toBe(true);
    expect(bench.peer({ controlBucket: undefined })).toBe(true);
    expect(bench.stranger(ATTACKER)).toBe(false);
  });
});

describe('one source', () => {
  test('that sends 500 a second leaves room for others', () => {
    const bench = new Bench();
    let entered = 0;
    bench.flood(500, 10, (index) => {
      if (index % 500 === 250 && bench.stranger(OWNER)) entered += 1;
      return bench.stranger(ATTACKER);
    });
    expect(entered).toBe(10);
  });

  test('that has the hint of a victim does not lock it out', () => {
    const bench = new Bench();
    let entered = 0;
    bench.flood(100, 60, (index) => {
      if (index % 200 === 150 && bench.stranger(OWNER, HINT)) entered += 1;
      return bench.stranger(ATTACKER, HINT);
    });
    expect(entered).toBe(30);
  });
});

test('a hint whose budget is used up leaves the way of strangers', () => {
  const bench = new Bench();
  for (let index = 0; index < 100; index += 1) bench.stranger(forged(index), HINT);
  expect(bench.hints.take(...HINT, millis(0))).toBe(false);
  bench.time += 20;
  expect(bench.stranger(OWNER, HINT)).toBe(true);
});

test('a peer that sends too much is held up alone', () => {
  const bench = new Bench();
  const [loud, quiet] = [{ controlBucket: undefined }, { controlBucket: undefined }];
  expect(bench.flood(1000, 1, () => bench.peer(loud))).toBeLessThan(90);
  expect(bench.peer(quiet)).toBe(true);
});

test('junk does not use up the budget of what can authenticate', () => {
  const bench = new Bench();
  expect(bench.flood(1000, 1, () => bench.stranger(ATTACKER, NONE, 4))).toBeLessThan(30);
  expect(bench.stranger(ATTACKER)).toBe(true);
});

test('a hint is known as long as one peer has it', () => {
  const hints = new HintTable();
  hints.add(HINT);
  hints.add(HINT);
  hints.delete(HINT);
  expect(hints.has(...HINT)).toBe(true);
  hints.delete(HINT);
  hints.delete(HINT);
  expect([hints.has(...HINT), hints.take(...HINT, millis(0))]).toEqual([false, false]);
});

test('keys have buckets of their own, but for few that share one', () => {
  const table = new BucketTable({ perSecond: 1, burst: 1 }, 13, 0x1234_5678);
  const fresh = Array.from({ length: 100 }, (_, key) => table.take(0x0a00_0000 + key, 0));
  expect(fresh.filter(Boolean).length).toBeGreaterThan(90);
  expect(table.take(0x0a00_0000, 999)).toBe(false);
  expect(table.take(0x0a00_0000, 1000)).toBe(true);
});

describe('sources of IPv6', () => {
  /** The words of the n-th /64, and of a host in it. */
  const network = (n: number, host = 0) => Uint32Array.of(0xb80d0120, n, 0, host);
  const CONTROL = CONTROL_LIMITS;

  function passes(bench: Bench, from: Uint32Array, hint: HintWords = NONE): boolean {
    const passed = bench.gate.passIpv6Stranger(from, LENGTH, ...hint);
    if (passed) bench.gate.settled();
    return passed;
  }

  test('are their /64: hosts of one have one budget, another has its own', () => {
    const bench = new Bench();
    const counts = [1, 2].map(
      (n) =>
        Array.from({ length: 500 }, (_, host) => passes(bench, network(n, host))).filter(Boolean)
          .length,
    );
    expect(counts).toEqual([CONTROL.source.burst, CONTROL.source.burst]);
  });

  test('where a peer was admitted have a budget apart from strangers', () => {
    const bench = new Bench();
    bench.gate.rememberNetwork(network(7, 1));
    const flood = bench.flood(50_000, 2, (index) => passes(bench, network(1000 + index)));
    expect(flood).toBeGreaterThan(0);
    expect(passes(bench, network(8))).toBe(false);
    expect(passes(bench, network(7, 99))).toBe(true);
  });

  test('with the hint of a peer’s key do not use up another’s share of it', () => {
    const bench = new Bench();
    const attacker = bench.flood(50_000, 1, (index) => passes(bench, network(9, index), HINT));
    const shares = CONTROL.hintedSource.burst + CONTROL.hintedSource.perSecond;
    expect(attacker).toBeLessThanOrEqual(
      shares + CONTROL.source.burst + CONTROL.source.perSecond + 1,
    );
    expect(passes(bench, network(10), HINT)).toBe(true);
  });

  test('are remembered up to a bound, the latest', () => {
    const bench = new Bench();
    const { size } = CONTROL.knownSources;
    for (let n = 0; n <= size; n += 1) bench.gate.rememberNetwork(network(n));
    expect(bench.gate.networks).toHaveLength(size);
    expect(bench.gate.networks.at(-1)).toEqual(network(size).slice(0, 2));
    bench.gate.rememberNetwork(network(1));
    expect(bench.gate.networks).toHaveLength(size);
    expect(bench.gate.networks.at(-1)).toEqual(network(1).slice(0, 2));
  });
});

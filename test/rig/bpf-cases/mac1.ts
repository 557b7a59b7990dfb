import { beforeEach, expect, test } from 'vitest';
import { concatBytes } from '../../../src/core/bytes.ts';
import { sipHash128 } from '../../../src/core/siphash.ts';
import { ip } from '../addresses.ts';
import { filler, outerFrame } from '../bpf-packets.ts';
import { arrive, CONFIG, loaded } from './shared.ts';

const INIT_LENGTH = 200;
const KEY = filler(16);
const KEYS = { mac1: KEY, cookie: filler(32), secret: filler(16) };

function init(key: Uint8Array, seed = 0): Uint8Array {
  const before = filler(168).map((byte) => byte ^ seed);
  before.set([0xf1, 2, 0, 0]);
  return concatBytes([before, sipHash128(key, before), filler(16)]);
}

export function describeMac1(): void {
  const stranger = { source: ip('203.0.113.9') };

  beforeEach(() => {
    loaded().configure({ ...CONFIG, authLengths: [INIT_LENGTH], initKeys: KEYS });
  });

  test.each([
    ['a stranger', stranger],
    ['the peer', {}],
  ] as const)('of %s: one that is meant for this server goes up', (_, from) => {
    for (let seed = 0; seed < 20; seed += 1) {
      const { verdict, counted } = arrive(outerFrame(init(KEY, seed), from));
      expect([verdict, ...counted]).toEqual(['unspec', 'passed-up']);
    }
  });

  test.each([
    ['a stranger', stranger],
    ['the peer', {}],
  ] as const)('of %s: whatever bit of it is another, it does not', (_, from) => {
    const right = init(KEY);
    for (let bit = 8 * 4; bit < 8 * 184; bit += 1) {
      const wrong = right.slice();
      wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const { verdict, counted } = arrive(outerFrame(wrong, from));
      expect([bit, verdict, ...counted]).toEqual([bit, 'shot', 'mac1']);
    }
    expect(arrive(outerFrame(init(filler(16).toReversed()), from)).counted).toEqual(['mac1']);
  });

  test('where there is no key, or another length, nothing is tested', () => {
    loaded().configure({ ...CONFIG, authLengths: [INIT_LENGTH, 140] });
    expect(arrive(outerFrame(init(filler(16).toReversed()), stranger)).counted).toEqual([
      'passed-up',
    ]);
    loaded().configure({ ...CONFIG, authLengths: [INIT_LENGTH, 140], initKeys: KEYS });
    expect(arrive(outerFrame(filler(140), stranger)).counted).toEqual(['passed-up']);
    // A request of session 1 of that length.
    expect(arrive(outerFrame(filler(INIT_LENGTH), stranger)).counted).toEqual(['passed-up']);
  });

  test('what strangers have used up is not missed by who knows the key', () => {
    const one = { perSecond: 0.01, burst: 1 };
    const rates = { ...CONFIG.rates, strangerAll: one };
    loaded().configure({ ...CONFIG, authLengths: [INIT_LENGTH], initKeys: KEYS, rates });
    const junk = outerFrame(filler(INIT_LENGTH), stranger);
    expect([0, 1, 2, 3].map(() => arrive(junk).counted[0])).toContain('stranger-all');
    expect(arrive(outerFrame(init(KEY), { source: ip('203.0.113.10') })).counted).toEqual([
      'passed-up',
    ]);
  });
}

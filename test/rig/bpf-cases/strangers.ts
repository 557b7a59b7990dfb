import { beforeEach, expect, test } from 'vitest';
import { concatBytes } from '../../../src/core/bytes.ts';
import { ip } from '../addresses.ts';
import { AUTH_LENGTH, filler, innerPacket, outerFrame } from '../bpf-packets.ts';
import { CONFIG, loaded, load, unload, reset, arrive, expectFate, expectTaken } from './shared.ts';
import { patience } from '../patience.ts';

export function describeStrangers(): void {
  beforeEach(() => {
    // With budgets that nobody has used.
    unload();
    load();
    reset();
  });

  const limited = { perSecond: 1, burst: 3 };
  const authentication = filler(AUTH_LENGTH);
  const from = (host: number): string => {
    const source = ip(`203.0.113.${host}`);
    return arrive(outerFrame(authentication, { source })).counted[0] ?? '';
  };

  test('authentication of the peer goes up, even when it begins like a packet', () => {
    const looks = concatBytes([innerPacket({}, new Uint8Array(0)), filler(AUTH_LENGTH - 20)]);
    const exact = innerPacket({ checksum: 0x1234 }, filler(AUTH_LENGTH - 20));
    for (const payload of [authentication, looks, exact]) {
      expect(arrive(outerFrame(payload))).toMatchObject({
        verdict: 'unspec',
        counted: ['passed-up'],
      });
    }
    const data = innerPacket({}, filler(AUTH_LENGTH - 20));
    expectTaken(outerFrame(data), data);
  });

  test("a peer's empty packet goes up: it says that the peer is alive", () => {
    expect(arrive(outerFrame(new Uint8Array(0))).counted).toEqual(['passed-up']);
    loaded().configure({ ...CONFIG, authLengths: [0, 1472] });
    expect(arrive(outerFrame(new Uint8Array(0))).counted).toEqual(['passed-up']);
    expect(arrive(outerFrame(filler(1472))).counted).toEqual(['passed-up']);
    expect(arrive(outerFrame(filler(575))).counted).toEqual(['malformed']);
  });

  test('what a peer has padded goes up, whatever its length', () => {
    for (const length of [576, 1337, 1471]) {
      expect(arrive(outerFrame(filler(length))).counted).toEqual(['passed-up']);
    }
    expect(arrive(outerFrame(filler(575))).counted).toEqual(['malformed']);
  });

  test('a peer beyond its budget is refused, and others are heard', () => {
    loaded().configure({ ...CONFIG, rates: { ...CONFIG.rates, peer: limited } });
    const counted = Array.from({ length: 5 }, () => arrive(outerFrame(authentication)).counted[0]);
    expect(counted).toEqual(['passed-up', 'passed-up', 'passed-up', 'peer-budget', 'peer-budget']);
    expect(from(1)).toBe('passed-up');
  });

  test('a source beyond its budget is refused, and others are heard', () => {
    loaded().configure({ ...CONFIG, rates: { ...CONFIG.rates, strangerSource: limited } });
    expect([from(1), from(1), from(1), from(1), from(2)]).toEqual([
      ...['passed-up', 'passed-up', 'passed-up', 'stranger-source', 'passed-up'],
    ]);
  });

  test('all sources together have a budget, and the peer one of its own', () => {
    loaded().configure({ ...CONFIG, rates: { ...CONFIG.rates, strangerAll: limited } });
    expect([from(1), from(2), from(3), from(4)]).toEqual([
      ...['passed-up', 'passed-up', 'passed-up', 'stranger-all'],
    ]);
    expect(arrive(outerFrame(authentication)).counted).toEqual(['passed-up']);
  });

  test('what looks like data has a small budget', () => {
    loaded().configure({ ...CONFIG, rates: { ...CONFIG.rates, strangerData: limited } });
    const early = outerFrame(innerPacket(), { sourcePort: 1 });
    const counted = Array.from({ length: 4 }, () => arrive(early).counted[0]);
    expect(counted).toEqual(['passed-up', 'passed-up', 'passed-up', 'stranger-data']);
    expect(from(1)).toBe('passed-up');
  });

  test('a budget fills up again', async () => {
    const rates = { ...CONFIG.rates, strangerSource: { perSecond: 20, burst: 1 } };
    loaded().configure({ ...CONFIG, rates });
    expect([from(1), from(1)]).toEqual(['passed-up', 'stranger-source']);
    await expect.poll(() => from(1), { timeout: patience(10_000) }).toBe('passed-up');
  });

  test('where strangers are not heard, nothing of theirs goes up', () => {
    loaded().configure({ ...CONFIG, strangers: false });
    expect(from(1)).toBe('stranger-closed');
    expectFate(outerFrame(innerPacket(), { sourcePort: 1 }), false);
    expect(arrive(outerFrame(authentication)).counted).toEqual(['passed-up']);
  });
}

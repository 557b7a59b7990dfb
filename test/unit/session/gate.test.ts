import { describe, expect, it } from 'vitest';
import type { OuterIp } from '../../../src/core/addr.ts';
import { Gate } from '../../../src/core/session/gate.ts';
import {
  OVERALL_HINTED_RATE,
  OVERALL_OWN_RATE,
  OVERALL_RATE,
  SOURCE_RATE,
  SOURCES_MAX,
} from '../../../src/core/budgets.ts';
import { millis } from '../../../src/core/units.ts';

const source = (number: number): OuterIp => `192.0.${number >> 8}.${number & 255}` as OuterIp;

/** How many of `count` tries pass. */
function passed(count: number, pass: (index: number) => boolean): number {
  return Array.from({ length: count }, (_unused, index) => pass(index)).filter(Boolean).length;
}

describe('strangers', () => {
  it('are limited by their source', () => {
    const gate = new Gate();
    expect(passed(1000, () => gate.stranger(source(1), millis(0)))).toBe(SOURCE_RATE.burst);
    expect(gate.stranger(source(2), millis(0))).toBe(true);
    expect(passed(100, () => gate.stranger(source(1), millis(1000)))).toBe(SOURCE_RATE.perSecond);
  });

  it('of IPv6 are limited by their /64, whose every address is theirs', () => {
    const gate = new Gate();
    const host = (number: number): OuterIp => `2001:db8::${number.toString(16)}` as OuterIp;
    expect(passed(1000, (index) => gate.stranger(host(1 + index), millis(0)))).toBe(
      SOURCE_RATE.burst,
    );
    expect(gate.stranger('2001:db8:0:1::1' as OuterIp, millis(0))).toBe(true);
    expect(gate.sources).toBe(2);
  });

  it('are limited all together, and a bounded number of them is remembered', () => {
    const gate = new Gate();
    const most = OVERALL_RATE.burst + 5 * OVERALL_RATE.perSecond;
    const through = passed(5000, (index) => gate.stranger(source(index), millis(index)));
    expect(through).toBeGreaterThan(most - 10);
    expect(through).toBeLessThanOrEqual(most);
    expect(gate.sources).toBe(SOURCES_MAX);
  });

  it('who were silent for longest are forgotten first', () => {
    const gate = new Gate();
    const exhaust = (from: OuterIp, at: number): number =>
      passed(SOURCE_RATE.burst, () => gate.stranger(from, millis(at)));
    exhaust(source(0), 0);
    for (let number = 1; number < SOURCES_MAX; number++) gate.stranger(source(number), millis(100));
    // So that the shared bucket has something again.
    expect(gate.stranger(source(0), millis(1000))).toBe(true);
    for (let number = 0; number < 100; number++) {
      gate.stranger(source(1000 + number), millis(1000));
    }
    expect(gate.sources).toBeLessThanOrEqual(SOURCES_MAX);
    const left = SOURCE_RATE.perSecond - 1;
    expect(passed(20, () => gate.stranger(source(0), millis(1000)))).toBeLessThanOrEqual(left);
  });

  it('take nothing from anybody with a packet that does not pass', () => {
    const gate = new Gate();
    passed(100, () => gate.stranger(source(1), millis(0)));
    const others = passed(1000, (index) => gate.stranger(source(2 + index), millis(0)));
    expect(others).toBe(OVERALL_RATE.burst - SOURCE_RATE.burst);
  });
});

describe('those whom a peer vouches for', () => {
  it('are limited all together, apart from strangers and from each other', () => {
    const gate = new Gate();
    passed(1000, (index) => gate.stranger(source(index), millis(0)));
    const hinted = (at: number) =>
      passed(5000, (index) => gate.hinted(source(10_000 + index), millis(at)));
    expect(hinted(0)).toBe(OVERALL_HINTED_RATE.burst);
    expect(passed(5000, () => gate.own(millis(0)))).toBe(OVERALL_OWN_RATE.burst);
    expect(hinted(1000)).toBe(OVERALL_HINTED_RATE.perSecond);
  });

  it('are limited by their source where a hint is all they have', () => {
    const gate = new Gate();
    expect(passed(1000, () => gate.hinted(source(1), millis(0)))).toBe(SOURCE_RATE.burst);
    expect(gate.stranger(source(1), millis(0))).toBe(false);
    expect(gate.hinted(source(2), millis(0))).toBe(true);
  });
});

it('what is sent in the name of a source leaves what its cookie gives it', () => {
  const gate = new Gate();
  passed(100, () => gate.stranger(source(1), millis(0)));
  passed(100, () => gate.reset(source(1), millis(0)));
  expect(passed(100, () => gate.cookied(source(1), millis(0)))).toBe(SOURCE_RATE.burst);
  passed(5000, (index) => gate.cookied(source(index), millis(index)));
  expect(gate.sources).toBe(SOURCES_MAX);
});

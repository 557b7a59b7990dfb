import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  putBack,
  REPAIR_PAUSE,
  RepairTimer,
  SETTLE,
} from '../../../src/adapters/planes/repairs.ts';
import { REPAIR_RATE } from '../../../src/core/budgets.ts';
import type { PlaneListener } from '../../../src/ports/data-plane.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function asked(): { readonly timer: RepairTimer; readonly repairs: string[] } {
  const repairs: string[] = [];
  return { timer: new RepairTimer((what) => void repairs.push(what)), repairs };
}

test('a swarm of changes is one repair, which is told the first of them', () => {
  const { timer, repairs } = asked();
  for (const what of ['device', 'address', 'route']) timer.ask(what);
  expect(repairs).toEqual([]);
  vi.advanceTimersByTime(SETTLE);
  expect(repairs).toEqual(['device']);
});

test('somebody who always undoes them gets as many as the rate allows', () => {
  const { timer, repairs } = asked();
  const seconds = 60;
  for (let at = 0; at < seconds * 1000; at += 10) {
    timer.ask('device');
    vi.advanceTimersByTime(10);
  }
  const allowed = REPAIR_RATE.burst + seconds * REPAIR_RATE.perSecond;
  expect(repairs.length).toBeLessThanOrEqual(allowed);
  expect(repairs.length).toBeGreaterThan(allowed - 5);
});

test('nothing is repaired after the end', () => {
  const { timer, repairs } = asked();
  timer.ask('device');
  timer.close();
  timer.ask('device');
  vi.advanceTimersByTime(REPAIR_PAUSE * 2);
  expect(repairs).toEqual([]);
});

test.each([
  { outcome: 'nothing amiss', work: async () => [], told: [], logged: [] },
  { outcome: 'mended', work: async () => ['a', 'b'], told: ['a true', 'b true'], logged: [] },
  {
    outcome: 'refused',
    work: async () => Promise.reject(new Error('no')),
    told: ['device false'],
    logged: ['device could not be put back'],
  },
])('a repair is told: $outcome', async ({ work, told, logged }) => {
  const heard: string[] = [];
  const lines: string[] = [];
  const listener: PlaneListener = {
    packet: async () => undefined,
    outerError: () => undefined,
    roamed: () => undefined,
    disturbed: (what, repaired) => void heard.push(`${what} ${repaired}`),
    failed: () => undefined,
  };
  await putBack({ listener, log: (_, words) => void lines.push(words) }, 'device', work);
  expect({ heard, lines }).toEqual({ heard: told, lines: logged });
});

import { vi } from 'vitest';
import { millis, type Millis } from '../../src/core/units.ts';

/*
 * How long a test waits for what has to happen. The numbers in tests are for a machine that has nothing
 * else to do; on a busy one they grow as a program gets less of a processor. In a guest nothing tells how
 * busy the host is: the runner says what it measured (IPIPOU_TEST_PACE).
 */

/** Kept busy so long to see what part of a processor we get. */
const SPIN_MS = 10;
/** A machine is asked again after so long. */
const FRESH_MS = 2000;
/** Beyond this a machine is not busy but broken. */
const SLOWEST = 16;

let measured = { at: -Infinity, slowness: 1 };

/** How many times as long as on a quiet machine things take now, 1 to 16. */
export function slowness(): number {
  const now = performance.now();
  if (now - measured.at > FRESH_MS) {
    const told = Number(process.env['IPIPOU_TEST_PACE'] ?? 1);
    measured = { at: now, slowness: Math.min(SLOWEST, Math.max(told, 1 / processorShare())) };
  }
  return measured.slowness;
}

/** `wait` milliseconds of a quiet machine, as milliseconds of this one. */
export function patience(wait: number): Millis {
  return millis(Math.ceil(wait * slowness()));
}

/** Resolves with what `check` returns once it does not throw; rejects with its last error after ten seconds. */
export function succeeds<T>(check: () => T | Promise<T>, wait = 10_000): Promise<T> {
  return vi.waitFor(check, { timeout: patience(wait), interval: 20 });
}

/** Resolves with what `check` returns once it is true; rejects after ten seconds. */
export function holds<T>(check: () => T): Promise<NonNullable<Awaited<T>>> {
  return vi.waitUntil(check, { timeout: patience(10_000), interval: 20 }) as Promise<
    NonNullable<Awaited<T>>
  >;
}

function processorShare(): number {
  const begin = performance.now();
  const before = process.cpuUsage();
  let used = 0;
  while (used < SPIN_MS) {
    const { user, system } = process.cpuUsage(before);
    used = (user + system) / 1000;
  }
  return Math.min(1, used / (performance.now() - begin));
}

import { readFileSync } from 'node:fs';
import { vi } from 'vitest';
import { millis, type Millis } from '../../src/core/units.ts';

/*
 * How long a test waits for what has to happen. The numbers in tests are for a machine that has nothing
 * else to do; on a busy one they grow as a program gets less of a processor. In a guest nothing tells how
 * busy the host is: the runner keeps what it measures in a file (IPIPOU_TEST_PACE names it).
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
    measured = { at: now, slowness: Math.min(SLOWEST, Math.max(told(), 1 / processorShare())) };
  }
  return measured.slowness;
}

/** `wait` milliseconds of a quiet machine, as milliseconds of this one. */
export function patience(wait: number): Millis {
  return millis(Math.ceil(wait * slowness()));
}

/**
 * Before a test looks again: 20 ms of a quiet machine. To answer costs what is waited for a processor, too: asked as
 * often, that was a sixth of what a guest did.
 */
export function pause(): Millis {
  return patience(20);
}

/** Resolves with what `check` returns once it does not throw; rejects with its last error after ten seconds. */
export function succeeds<T>(check: () => T | Promise<T>, wait = 10_000): Promise<T> {
  return vi.waitFor(check, { timeout: patience(wait), interval: pause() });
}

/** Resolves with what `check` returns once it is true; rejects after ten seconds. */
export function holds<T>(check: () => T): Promise<NonNullable<Awaited<T>>> {
  return vi.waitUntil(check, { timeout: patience(10_000), interval: pause() }) as Promise<
    NonNullable<Awaited<T>>
  >;
}

function told(): number {
  const file = process.env['IPIPOU_TEST_PACE'];
  return file === undefined ? 1 : Number(readFileSync(file, 'utf8'));
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

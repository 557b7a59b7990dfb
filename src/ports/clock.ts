import type { Instant, Millis } from '../core/units.ts';

/** Both clocks and the one kind of timer that a driver needs; virtual in tests. */
export interface Clock {
  now(): Instant;
  /** Calls back once `at` (monotonic) has come, never synchronously; returns what cancels it. */
  callAt(at: Millis, callback: () => void): () => void;
}

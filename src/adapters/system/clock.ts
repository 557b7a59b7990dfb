import { millis } from '../../core/units.ts';
import type { Clock } from '../../ports/clock.ts';

/** Longest delay that setTimeout keeps; longer ones are waited for in pieces. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/**
 * This machine's clocks: CLOCK_MONOTONIC since the process began, and unix time. Both in whole
 * milliseconds, for sessions keep many times, and V8 gives a number with a fraction 16 bytes of its own
 * (also one of 2^31 or more, which is 24 days). Rounded up: nothing that has happened is later than now.
 */
export const systemClock: Clock = {
  now: () => ({ monotonic: millis(Math.ceil(performance.now())), unix: millis(Date.now()) }),
  callAt(at, callback) {
    let timer: NodeJS.Timeout | undefined;
    const arm = (): void => {
      const left = Math.max(1, Math.ceil(at - performance.now()));
      timer = setTimeout(left > TIMER_MAX_MS ? arm : callback, Math.min(left, TIMER_MAX_MS));
    };
    arm();
    return () => clearTimeout(timer);
  },
};

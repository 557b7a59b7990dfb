import { millis, type Millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';

/** Waits for work that must not reject, but not longer than `most`, nor after `hurry`. */
export function waitAtMost(
  most: Millis,
  work: Promise<void>,
  clock: Clock,
  hurry?: AbortSignal,
): Promise<void> {
  return new Promise<void>((resolve) => {
    const cancel = clock.callAt(millis(clock.now().monotonic + most), resolve);
    const done = (): void => {
      cancel();
      resolve();
    };
    void work.then(done);
    hurry?.addEventListener('abort', done, { once: true });
    if (hurry?.aborted) done();
  });
}

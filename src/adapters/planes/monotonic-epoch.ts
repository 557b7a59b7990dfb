const READINGS = 8;

/**
 * The system's monotonic clock at the zero of this thread's performance.now(), milliseconds. What runs
 * between the readings of the two clocks makes it less, so the most of several is the truest.
 */
export function monotonicEpoch(): number {
  return Math.max(...Array.from({ length: READINGS }, readEpoch));
}

function readEpoch(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1000 + nanos / 1e6 - performance.now();
}

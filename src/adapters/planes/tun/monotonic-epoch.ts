/** The system's monotonic clock at the zero of this thread's performance.now(), milliseconds. */
export function monotonicEpoch(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1000 + nanos / 1e6 - performance.now();
}

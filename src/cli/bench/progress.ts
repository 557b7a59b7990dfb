import type { Progress } from '../../bench/contest.ts';

/**
 * One line that says where a run is: written over itself on a terminal, else one line a turn.
 * `now` is in milliseconds.
 */
export function progressLine(
  print: (text: string) => void,
  terminal: boolean,
  now: () => number = () => performance.now(),
) {
  const began = now();
  let width = 0;
  return {
    show(progress: Progress): void {
      const line = formatProgress(progress, now() - began);
      print(terminal ? `\r${line.padEnd(width)}` : `${line}\n`);
      width = line.length;
    },
    end(): void {
      if (terminal && width > 0) print(`\r${' '.repeat(width)}\r`);
    },
  };
}

function formatProgress(progress: Progress, elapsed: number): string {
  const { done, total, round, scene, contestant } = progress;
  const left = done === 0 ? '' : `, ${duration((elapsed / done) * (total - done))} left`;
  const share = Math.floor((done / total) * 100);
  return `bench: ${share} %${left}: round ${round}, ${scene}, ${contestant}`;
}

function duration(millis: number): string {
  const MINUTE = 60_000;
  return millis >= MINUTE ? `${Math.round(millis / MINUTE)} min` : `${Math.ceil(millis / 1000)} s`;
}

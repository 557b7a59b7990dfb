import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PROJECT } from '../../vm/rig/project.ts';

type Watchdog = { progress: (text: string) => void; stop: () => void };
type Filter = { push: (text: string) => void; end: () => void };
// Plain scripts, without types of their own.
const at = (name: string): string => pathToFileURL(path.join(PROJECT, 'scripts', name)).href;
const { watch, progressFilter, processorShare } = (await import(at('watchdog.mjs'))) as {
  watch: (options: {
    limit: number;
    onStall: (words: string) => void;
    share: () => number;
  }) => Watchdog;
  progressFilter: (to: {
    progress: (text: string) => void;
    write: (text: string) => void;
  }) => Filter;
  processorShare: (spin?: number) => number;
};
const { start } = (await import(at('suites.mjs'))) as {
  start: (
    command: readonly string[],
    options: { limit: number; signal: AbortSignal; every?: number },
  ) => Promise<{ code: number | null; stalled: string | undefined }>;
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** How many seconds of silence it takes until the watchdog of a limit of 60 s barks. */
function patience(share: number): number {
  const barks: string[] = [];
  const watchdog = watch({ limit: 60, onStall: (words) => barks.push(words), share: () => share });
  let seconds = 0;
  for (; barks.length === 0 && seconds < 10_000; seconds += 5) vi.advanceTimersByTime(5000);
  watchdog.stop();
  return seconds;
}

test('a limit is seconds of a processor of one’s own: on a busy machine it lasts longer', () => {
  expect(patience(1)).toBe(60);
  expect(patience(0.25)).toBe(240);
});

test('what makes progress may take as long as it likes; what hangs is named', () => {
  const barks: string[] = [];
  const watchdog = watch({ limit: 60, onStall: (words) => barks.push(words), share: () => 1 });
  for (let count = 0; count < 100; count += 1) {
    vi.advanceTimersByTime(50_000);
    watchdog.progress(`a.test.ts > case ${count}`);
  }
  expect(barks).toEqual([]);
  vi.advanceTimersByTime(120_000);
  expect(barks).toEqual([
    'killed: no progress for 60 s (of a processor of its own), at: a.test.ts > case 99',
  ]);
});

test('marked lines are progress, all others the suite’s output, whole and in order', () => {
  const progress: string[] = [];
  const output: string[] = [];
  const filter = progressFilter({
    progress: (text) => void progress.push(text),
    write: (text) => void output.push(text),
  });
  for (const text of ['one\n\u0001a.ts', ' > x\ntw', 'o\n', 'rest']) filter.push(text);
  filter.end();
  expect(progress).toEqual(['a.ts > x']);
  expect(output.join('')).toBe('one\ntwo\nrest');
});

test('the share of a processor is a part of one', () => {
  vi.useRealTimers();
  const share = processorShare(2);
  expect(share).toBeGreaterThan(0);
  expect(share).toBeLessThanOrEqual(1);
});

test('a suite that hangs is killed and names where it was', async () => {
  vi.useRealTimers();
  const script = String.raw`printf '\001a.test.ts > a case\n'; exec sleep 600`;
  const { code, stalled } = await start(['sh', '-c', script], {
    limit: 0.2,
    signal: new AbortController().signal,
    every: 50,
  });
  expect(code).toBeNull();
  expect(stalled).toContain('at: a.test.ts > a case');
});

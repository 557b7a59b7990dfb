import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { whileWorking } from '../../../src/cli/waiting.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test.each([
  [1000, ''],
  [6000, 'waiting for the daemon; it goes on by itself if this is interrupted\n'],
])('of work that takes %d ms a person reads: %j', async (takes, said) => {
  let seen = '';
  const work = new Promise((resolve) => setTimeout(resolve, takes, 'done'));
  const result = whileWorking(work, { stderr: (text) => void (seen += text) });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await result).toBe('done');
  expect(seen).toBe(said);
});

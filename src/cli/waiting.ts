import type { CommandContext } from './command.ts';

/** Milliseconds after which a person wonders. */
const WONDER = 5000;

/** Says that a daemon's work takes its time. */
export async function whileWorking<T>(
  work: Promise<T>,
  { stderr }: Pick<CommandContext, 'stderr'>,
): Promise<T> {
  const timer = setTimeout(
    () => stderr('waiting for the daemon; it goes on by itself if this is interrupted\n'),
    WONDER,
  );
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when a signal is aborted, or was. */
export function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

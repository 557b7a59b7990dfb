import type { Log } from '../../ports/log.ts';

/** Opens a plane; when that fails, `undo` takes back what was made, and the first error is what counts. */
export async function openOrUndo(
  log: Log,
  open: () => Promise<void>,
  undo: () => Promise<void>,
): Promise<void> {
  try {
    await open();
  } catch (error) {
    await undo().catch((failure: unknown) => {
      log('error', 'clean-up after a failed start', { error: String(failure) });
    });
    throw error;
  }
}

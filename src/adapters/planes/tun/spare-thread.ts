import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { WORKER_TIMEOUT } from './limits.ts';
import { workerUrl } from './worker-url.ts';

/*
 * A thread takes longer to start than the device and the sockets that it is for: it begins to load as soon as it is known
 * that one is needed, and is told then what to forward.
 */

let spare: Worker | undefined;

/** Starts a thread beforehand; `dropThread` in any case. */
export function prepareThread(): void {
  spare ??= startThread();
}

/** The one that was prepared, or a new one. */
export function takeThread(): Worker {
  const worker = spare ?? startThread();
  spare = undefined;
  worker.ref();
  return worker;
}

/** Ends the one that nobody took. A process that exits while its thread loads koffi (3.3.4) may abort (SIGABRT). */
export async function dropThread(): Promise<void> {
  const worker = spare;
  if (!worker) return;
  spare = undefined;
  worker.ref();
  worker.postMessage(undefined, []);
  await once(worker, 'exit', { signal: AbortSignal.timeout(WORKER_TIMEOUT) }).catch(() => {
    worker.unref();
  });
}

function startThread(): Worker {
  const worker = new Worker(workerUrl(), { name: 'ipipou-tun' });
  worker.unref();
  // Whoever takes the next one is told.
  worker.on('error', () => undefined);
  worker.once('exit', () => {
    if (spare === worker) spare = undefined;
  });
  return worker;
}

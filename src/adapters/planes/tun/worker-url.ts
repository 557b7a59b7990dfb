import { existsSync } from 'node:fs';
import { IpipouError } from '../../../core/errors.ts';

/**
 * The worker's compiled file. Node 20 runs no TypeScript in a worker thread, so code that runs
 * from its sources (under a test runner) takes the worker out of the last build.
 */
export function workerUrl(here: string = import.meta.url): URL {
  const beside = new URL('./worker.js', here);
  const built = new URL('../../../../dist/adapters/planes/tun/worker.js', here);
  const found = [beside, built].find((url) => existsSync(url));
  if (found) return found;
  throw new IpipouError(
    'createTunnel',
    `the forwarding thread is not built: no ${built.pathname}`,
    {
      hint: 'run "npm run build"',
    },
  );
}

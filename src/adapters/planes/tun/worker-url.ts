import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { IpipouError } from '../../../core/errors.ts';
import { packageFile } from '../../system/package-files.ts';

/**
 * The worker's compiled file, as it was built last: Node 20 runs no TypeScript in a worker thread, so code
 * that runs from its sources (under a test runner) needs that, too.
 */
export function workerUrl(): URL {
  const file = packageFile('dist/adapters/planes/tun/worker.js');
  if (existsSync(file)) return pathToFileURL(file);
  throw new IpipouError('createTunnel', `the forwarding thread is not built: no ${file}`, {
    hint: 'run "npm run build"',
  });
}

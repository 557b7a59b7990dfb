import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { IpipouError } from '../../core/errors.ts';
import type { PageFile } from './page-server.ts';

/** What the page is made of, by its path; `ui/` of dist. */
const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/icon.svg': ['icon.svg', 'image/svg+xml'],
} as const;

/** Reads it all at once: whoever serves it later may read no files. */
export function readPage(): ReadonlyMap<string, PageFile> {
  // This module is in a chunk of dist, or among the modules below .cache.
  const folder = ['../ui/', '../../../dist/ui/', '../../../../dist/ui/']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(`${path}index.html`));
  if (folder === undefined) {
    throw new IpipouError('generic', 'the page is not built', { hint: 'npm run build' });
  }
  return new Map(
    Object.entries(FILES).map(([path, [name, type]]) => [
      path,
      { type, body: readFileSync(`${folder}${name}`) },
    ]),
  );
}

import { readdirSync } from 'node:fs';
import path from 'node:path';
import { PROJECT } from '../vm/rig/project.ts';

const CACHE = path.join(PROJECT, '.cache/debian-node');

/** Where `npm test` has put Debian's own Node (scripts/debian-node.mjs says what is there). */
export function debianNode(): string {
  const newest = readdirSync(CACHE)
    .filter((name) => /^\d/.test(name))
    .toSorted()
    .at(-1);
  if (newest === undefined) throw new Error(`nothing in ${CACHE}: npm test -- netns puts it there`);
  return path.join(CACHE, newest);
}

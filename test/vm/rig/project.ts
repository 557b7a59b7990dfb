import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder: the nearest upwards with a package.json (the rig runs compiled, elsewhere). */
export const PROJECT = findProject(path.dirname(fileURLToPath(import.meta.url)));

function findProject(folder: string): string {
  if (existsSync(path.join(folder, 'package.json'))) return folder;
  if (folder === path.dirname(folder)) throw new Error('no package.json above the rig');
  return findProject(path.dirname(folder));
}

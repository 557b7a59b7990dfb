import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the package that this program is part of: the nearest one above with a package.json. */
function packageFolder(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(folder, 'package.json')) && folder !== path.dirname(folder)) {
    folder = path.dirname(folder);
  }
  return folder;
}

const PACKAGE = packageFolder();

/**
 * Path of a file of the package, by its path in there, whether or not it exists. The same for code that
 * runs from `dist`, from its sources, or compiled elsewhere in the clone.
 */
export function packageFile(name: string): string {
  return path.join(PACKAGE, name);
}

/** The program itself, as it was built last. */
export const BUILT_MAIN = 'dist/cli/main.js';

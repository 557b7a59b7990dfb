import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The folder of the package that this program is part of: the nearest one above with a package.json, but not
 * `dist`, whose own only says how Node reads what is there.
 */
function packageFolder(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!isPackage(folder) && folder !== path.dirname(folder)) folder = path.dirname(folder);
  return folder;
}

function isPackage(folder: string): boolean {
  return path.basename(folder) !== 'dist' && existsSync(path.join(folder, 'package.json'));
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

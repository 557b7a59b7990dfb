import { readFileSync } from 'node:fs';
import { packageFile } from '../adapters/system/package-files.ts';

/** `ipipou 1.2.3`, from the package that this file is part of. */
function readVersion(): string {
  const text = readFileSync(packageFile('package.json'), 'utf8');
  const value: unknown = JSON.parse(text);
  const known = typeof value === 'object' && value !== null && 'version' in value;
  return known ? String(value.version) : 'unknown';
}

export function versionLine(): string {
  return `ipipou ${readVersion()}\n`;
}

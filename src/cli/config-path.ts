import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { configReference } from '../core/config/syntax.ts';

/**
 * The config reference that a word stands for: a path where it has a slash, or is a file NAME.conf here;
 * else a name, with or without `.conf`.
 */
export function configReferenceOf(word: string): string {
  if (word.includes('/')) return /^\.{0,2}\//.test(word) ? word : `./${word}`;
  if (!word.endsWith('.conf')) return word;
  return existsSync(word) ? `./${word}` : word.slice(0, -'.conf'.length);
}

/** The absolute path of the config file that a word stands for, whether it is there or not. */
export function configPathOf(word: string): string {
  const reading = configReference.read(configReferenceOf(word));
  return resolve(reading.ok ? reading.value.path : word);
}

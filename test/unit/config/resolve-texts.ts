import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { parseConfigFile } from '../../../src/core/config/parse-file.ts';
import { resolveConfig, type Resolved } from '../../../src/core/config/resolve.ts';
import { ConfigError } from '../../../src/core/errors.ts';

/** The key pair of the description. */
export const PRIVATE_KEY = 'RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=';
export const PUBLIC_KEY = 'eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=';

/** A config in one file `t.conf`, or in several that are named in the order of priority. */
export type Texts = string | Readonly<Record<string, string>>;

/** What files and a command line (words separated by blanks) resolve to. */
export function resolveTexts(texts: Texts, argv: string | readonly string[] = []): Resolved {
  const named = typeof texts === 'string' ? { 't.conf': texts } : texts;
  const files = Object.entries(named).map(([source, text]) => parseConfigFile(text, source));
  const words = typeof argv === 'string' ? argv.split(' ') : argv;
  return resolveConfig({ files, commandLine: parseArguments(words) });
}

/** The same, for what is to be run. */
export function resolveRun(
  texts: Texts,
  argv: string | readonly string[] = [],
): Extract<Resolved, { action: 'run' | 'reauthenticate' }> {
  const resolved = resolveTexts(texts, argv);
  if (resolved.action !== 'run' && resolved.action !== 'reauthenticate') {
    throw new Error(`resolved to ${resolved.action}`);
  }
  return resolved;
}

/** The error of a config that must not resolve; a resolved one fails the test. */
export function configError(texts: Texts, argv: string | readonly string[] = []): ConfigError {
  try {
    resolveTexts(texts, argv);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

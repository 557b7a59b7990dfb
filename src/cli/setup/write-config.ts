import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeNewConfig } from '../../adapters/system/config-store.ts';
import { parseArguments } from '../../core/config/parse-argv.ts';
import { parseConfigFile } from '../../core/config/parse-file.ts';
import { resolveConfig } from '../../core/config/resolve.ts';
import { configReference } from '../../core/config/syntax.ts';
import { peerName } from '../../core/config/syntax-peers.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { IpipouError } from '../../core/errors.ts';
import { configPathOf, configReferenceOf } from '../config-path.ts';
import { misuse } from '../arguments.ts';
import { CONFIG_FOLDER } from './config-folder.ts';

/** The file that is to be made for a name or path, and what its tunnel is called. */
export function newConfigPlace(
  command: string,
  word: string,
): { readonly path: string; readonly name: string } {
  const reading = configReference.read(configReferenceOf(word));
  const name = reading.ok ? reading.value.name : '';
  // The name becomes a part of a unit's, and of codes.
  if (!peerName.read(name).ok) {
    throw misuse(command, `${JSON.stringify(word)}: expected a name of letters, digits and . _ -`);
  }
  const path = configPathOf(word);
  // Where the service, which knows a tunnel by its name alone, would look for another file.
  if (dirname(path) === CONFIG_FOLDER && !path.endsWith('.conf')) {
    const files = `files in ${CONFIG_FOLDER} end with .conf`;
    throw misuse(command, `${JSON.stringify(word)}: ${files}: ${name}, or ${path}.conf`);
  }
  return { path, name };
}

/** Throws where there is a file already: before anything is asked of anybody. */
export function refuseExisting(path: string): void {
  if (!existsSync(path)) return;
  throw new IpipouError('generic', `${path} is there already, and is left as it is`, {
    hint: 'choose another name, or move the file away first',
  });
}

/** What a text that is to be a config file says; throws a ConfigError with what is wrong. */
export function resolveNew(text: string, path: string): TunnelConfig {
  const resolved = resolveConfig({
    commandLine: parseArguments([]),
    files: [parseConfigFile(text, path)],
  });
  if ('config' in resolved) return resolved.config;
  throw new IpipouError('arguments', `${path} would describe no tunnel`);
}

/** Writes a config file that is sound, where there is none yet. */
export function writeSound(path: string, text: string): TunnelConfig {
  const config = resolveNew(text, path);
  writeNewConfig(path, text);
  return config;
}

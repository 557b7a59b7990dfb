import type { ParsedArguments } from './parse-argv.ts';
import { parseConfigFile } from './parse-file.ts';
import { resolveConfig, type Resolved } from './resolve.ts';
import type { ParsedSource } from './setting.ts';

/** What a config was made of, without the sections of its files. */
export type Origin = {
  readonly files: readonly ParsedSource[];
  readonly commandLine: ParsedArguments;
};

export type Loaded = {
  readonly resolved: Resolved;
  readonly origin: Origin;
  /** Absolute path of the last config file; undefined when there was none. */
  readonly configPath: string | undefined;
  /** About the files themselves, for the log. */
  readonly warnings: readonly string[];
};

export function originOf(files: readonly ParsedSource[], commandLine: ParsedArguments): Origin {
  return { files: files.map((file) => ({ ...file, sections: [] })), commandLine };
}

/**
 * A running tunnel's config with the peers of a file. A file that begins with a section has peers
 * only: what its own files say before the sections stays. Throws a ConfigError.
 */
export function resolveText(
  text: string,
  source: string,
  { files, commandLine }: Origin,
): Pick<Loaded, 'resolved' | 'origin'> {
  const file = parseConfigFile(text, source);
  const peersOnly = file.settings.length === 0 && file.sections.length > 0;
  const all = peersOnly ? [...files, file] : [file];
  return {
    resolved: resolveConfig({ files: all, commandLine }),
    origin: originOf(all, commandLine),
  };
}

import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isErrno } from '../adapters/system/files.ts';
import { originOf, type Loaded } from '../core/config/loaded.ts';
import { parseArguments, type ParsedArguments } from '../core/config/parse-argv.ts';
import { parseConfigFile, parseSection } from '../core/config/parse-file.ts';
import { resolveConfig } from '../core/config/resolve.ts';
import type { ParsedSource } from '../core/config/setting.ts';
import { ConfigError, IpipouError } from '../core/errors.ts';

/** Bytes of a config file beyond which it is none: room for a hundred thousand peers. */
const CONFIG_FILE_MAX = 64 * 1024 * 1024;

/**
 * Options of a command line and of the files it names. Throws a ConfigError with every problem, or
 * an IpipouError with exit `arguments` for a file that cannot be read.
 */
export async function loadConfig(argv: readonly string[]): Promise<Loaded> {
  const commandLine = parseArguments(argv);
  // What was meant instead may be all that seems to be missing.
  const unknown = commandLine.problems.filter((problem) => problem.unknown === true);
  if (unknown.length > 0) throw new ConfigError(unknown);
  if (commandLine.asks !== undefined) {
    const resolved = resolveConfig({ commandLine, files: [] });
    const origin = { files: [], commandLine };
    return { resolved, origin, configPath: undefined, warnings: [] };
  }
  const files: ParsedSource[] = [];
  const warnings: string[] = [...secretsOnCommandLine(commandLine)];
  for (const { path } of commandLine.configs) {
    const { text, openTo } = await readConfigFile(path);
    const parsed = parseConfigFile(text, path);
    files.push(parsed);
    if (openTo && holdsSecrets(parsed)) {
      warnings.push(`${path} holds secrets and others may read it: chmod 600`);
    }
  }
  const last = commandLine.configs.at(-1)?.path;
  return {
    resolved: resolveConfig({ commandLine, files }),
    origin: originOf(files, commandLine),
    configPath: last === undefined ? undefined : resolve(last),
    warnings,
  };
}

/** /proc/PID/cmdline is everybody's to read. */
function secretsOnCommandLine({ settings }: ParsedArguments): readonly string[] {
  const names = settings.filter(({ option }) => option.secret).map(({ option }) => option.name);
  if (names.length === 0) return [];
  const them = names.length === 1 ? 'it' : 'them';
  return [
    `${names.join(', ')} on the command line can be read by every user of this machine: put ${them} into the config file`,
  ];
}

function holdsSecrets({ settings, sections }: ParsedSource): boolean {
  const isSecret = ({ option }: ParsedSource['settings'][number]) => option.secret;
  return (
    settings.some(isSecret) ||
    sections.some((section) => parseSection(section).settings.some(isSecret))
  );
}

/** A config file's text, and whether others than its owner and group may read it. */
export async function readConfigFile(
  path: string,
): Promise<{ readonly text: string; readonly openTo: boolean }> {
  try {
    const { size, mode } = await stat(path);
    if (size > CONFIG_FILE_MAX) throw new Error(`${size} bytes, more than a config may have`);
    return { text: await readFile(path, 'utf8'), openTo: (mode & 0o004) !== 0 };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new IpipouError('arguments', `cannot read config ${path}: ${message}`, {
      hint: isErrno(error, 'EACCES')
        ? 'run as root'
        : '--config NAME reads /etc/ipipou/NAME.conf; a path begins with /, ./ or ../',
      cause: error,
    });
  }
}

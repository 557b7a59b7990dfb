import type { ConfigProblem } from '../errors.ts';
import { hyphenate, type Option } from './option.ts';
import {
  COMMAND_LINE,
  GIVEN,
  HIDDEN,
  findOption,
  problemAt,
  unknownOption,
  type ParsedSource,
  type Setting,
} from './setting.ts';
import { configReference, type ConfigReference } from './syntax.ts';

export type ParsedArguments = ParsedSource & {
  /** The files to read, in the order given. */
  readonly configs: readonly ConfigReference[];
  /** Set when no file needs to be read, because the command line asks for this instead of a tunnel. */
  readonly asks: 'help' | 'version' | 'keygen' | undefined;
};

/**
 * The settings of a command line, without the program's name: `--name value`, `--name=value`,
 * `-n 5`, `-n5`, `-n=5`, `-svv`. A value may begin with a hyphen, unless it spells an option: then
 * it needs the form with `=`. Never throws.
 */
export function parseArguments(argv: readonly string[]): ParsedArguments {
  const read: Progress = { argv, next: 0, settings: [], problems: [], configs: [] };
  while (read.next < argv.length) readArgument(read);
  const { settings, problems, configs } = read;
  const asked = (name: string) => settings.some(({ option }) => option.name === name);
  const asks = (['help', 'version'] as const).find(asked);
  return {
    source: COMMAND_LINE,
    settings,
    sections: [],
    problems,
    configs,
    asks: asks ?? (asked('auth-keygen') ? 'keygen' : undefined),
  };
}

type Progress = {
  readonly argv: readonly string[];
  /** Index of the argument to read next. */
  next: number;
  readonly settings: Setting[];
  readonly problems: ConfigProblem[];
  readonly configs: ConfigReference[];
};

const place = { source: COMMAND_LINE, line: undefined };

function readArgument(read: Progress): void {
  const first = read.next === 0;
  const argument = read.argv[read.next] ?? '';
  read.next += 1;
  if (/^--./s.test(argument)) readLong(read, argument.slice(2));
  else if (/^-[^-]/s.test(argument)) readShort(read, argument.slice(1));
  else read.problems.push(stray(argument, first));
}

function readLong(read: Progress, word: string): void {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const value = equals < 0 ? undefined : word.slice(equals + 1);
  const option = name.length > 1 ? findOption(name) : undefined;
  if (option === undefined) {
    read.problems.push(unknownOption(name, value, place));
  } else if (option.fileOnly) {
    const expected = `${option.name} can be given in a config file only`;
    read.problems.push({
      ...place,
      key: option.name,
      value: value ?? GIVEN,
      expected,
      sentence: true,
    });
  } else if (option.value !== undefined) {
    readValue(read, option, `--${name}=`, value);
  } else if (value === undefined) {
    read.settings.push({ option, text: '', ...place });
  } else {
    read.problems.push({ ...place, key: option.name, value, expected: 'no value' });
  }
}

/** One or more letters behind one hyphen; the last may have its value behind it. */
function readShort(read: Progress, word: string): void {
  const letters = Array.from(word);
  for (const [index, letter] of letters.entries()) {
    const option = findOption(letter);
    const rest = letters.slice(index + 1).join('');
    if (option === undefined) {
      read.problems.push(unknownShort(word, letter, rest));
      return;
    }
    if (option.value !== undefined) {
      readValue(read, option, `-${letter}`, rest === '' ? undefined : rest.replace(/^=/, ''));
      return;
    }
    read.settings.push({ option, text: '', ...place });
  }
}

/** A letter that is no option; or a whole name behind a single hyphen. */
function unknownShort(word: string, letter: string, rest: string): ConfigProblem {
  const long = findOption(word.replace(/=.*/s, ''));
  const problem = unknownOption(`-${letter}`, rest === '' ? undefined : rest, place);
  if (long === undefined) return problem;
  return { ...problem, expected: `did you mean \`${hyphenate(long.name)}\`?` };
}

/** `attached` is a value in the option's own argument, else the next argument is it. */
function readValue(
  read: Progress,
  option: Option,
  spelling: string,
  attached: string | undefined,
): void {
  const next = read.argv[read.next];
  const optionFollows = attached === undefined && next !== undefined && spellsOption(next);
  const text = attached ?? (optionFollows ? undefined : next);
  if (attached === undefined && text !== undefined) read.next += 1;
  if (text === undefined || text === '') {
    const hint = optionFollows ? `; one that looks like an option goes behind ${spelling}` : '';
    const expected = `${option.value?.expected ?? 'a value'}${hint}`;
    read.problems.push({ ...place, key: option.name, value: undefined, expected });
    return;
  }
  const setting: Setting = { option, text, ...place };
  if (option.name !== 'config') {
    read.settings.push(setting);
    return;
  }
  const reading = configReference.read(text);
  if (reading.ok) read.configs.push(reading.value);
  else read.problems.push(problemAt(setting, reading.expected));
}

/** The first argument is shown; later ones may be the end of a secret that was not quoted. */
function stray(argument: string, first: boolean): ConfigProblem {
  const known = findOption(argument);
  const harmless = first || known !== undefined || argument === '-' || argument === '--';
  return {
    ...place,
    key: 'argument',
    value: harmless ? argument : HIDDEN,
    expected: known
      ? `\`${hyphenate(known.name)}\`, with its hyphens`
      : 'an option, which begins with a hyphen',
  };
}

/** Exactly an option, or a long one and `=`. */
function spellsOption(argument: string): boolean {
  const long = /^--([^=]{2,})/s.exec(argument)?.[1];
  const short = /^-([^-])$/s.exec(argument)?.[1];
  const name = long ?? short;
  return name !== undefined && findOption(name) !== undefined;
}

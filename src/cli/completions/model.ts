import type { CommandHelp } from '../../core/config/text/help.ts';
import { hyphenate, type Option } from '../../core/config/option.ts';
import { OPTIONS } from '../../core/config/options.ts';
import { readSynopsis } from './synopsis.ts';
import type { CompletedCommand, Flag, Kind } from './types.ts';

/* What shells complete, as data: from the tables of commands and options, before any shell's language. */

/** The command that runs where none is named; its flags are the options. */
export const IMPLIED = 'run';

export function completedCommands(commands: readonly CommandHelp[]): readonly CompletedCommand[] {
  const names = commands.map(({ name }) => name);
  return commands.map(({ name, summary, usage }) => {
    if (name === IMPLIED) {
      return { name, summary, flags: OPTION_FLAGS, places: [], endless: false };
    }
    return { name, summary, ...readSynopsis(name, usage, { commands: names, options: SETTABLE }) };
  });
}

/** Every spelling of a flag that takes a value, of any command. */
export function valuedSpellings(commands: readonly CompletedCommand[]): readonly string[] {
  const all = commands.flatMap(({ flags }) =>
    flags.flatMap(({ spellings, value }) => (value === undefined ? [] : spellings)),
  );
  return [...new Set(all)];
}

/** What `ipipou set` may say of a peer. */
const SETTABLE = OPTIONS.filter(({ peer }) => peer !== undefined).map(({ name }) => name);

const OPTION_FLAGS = OPTIONS.filter(({ fileOnly }) => !fileOnly).map(flagOf);

function flagOf({ name, short, help, value }: Option): Flag {
  const spellings = [...(short === undefined ? [] : [hyphenate(short)]), hyphenate(name)];
  if (value === undefined) return { spellings, help, value };
  const { placeholder, choices = [] } = value;
  return { spellings, help, value: { placeholder, words: choices, kinds: kindsOf(name, value) } };
}

function kindsOf(name: string, value: NonNullable<Option['value']>): readonly Kind[] {
  if (name === 'config') return ['config', 'file'];
  return value.placeholder === 'DEVICE' ? ['device'] : [];
}

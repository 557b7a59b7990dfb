import { editDistance } from './edit-distance.ts';
import type { ConfigProblem } from '../errors.ts';
import { hyphenate, type Option } from './option.ts';
import { OPTIONS } from './options.ts';
import type { PeerId } from './tunnel-config.ts';

export const COMMAND_LINE = 'command line';
/** What messages show in place of a value that is, or might be, a secret. */
export const HIDDEN = '(hidden)';
/** What messages show where an option without value is itself the problem. */
export const GIVEN = '(given)';

/** One option as somebody wrote it. */
export type Setting = {
  readonly option: Option;
  /** '' for an option that takes no value. */
  readonly text: string;
  /** Path of the file, or COMMAND_LINE. */
  readonly source: string;
  /** From 1; undefined on the command line. */
  readonly line: number | undefined;
};

/** A `peer` line and what follows it, up to the next one. */
export type Section = {
  readonly id: PeerId;
  readonly source: string;
  /** Of the `peer` line, from 1. */
  readonly line: number;
  /** The lines behind that one, as they stand. */
  readonly body: string;
};

/** What one file, or the command line, says, and what is wrong with how it says it. */
export type ParsedSource = {
  readonly source: string;
  /** What stands before the first section. */
  readonly settings: readonly Setting[];
  readonly sections: readonly Section[];
  readonly problems: readonly ConfigProblem[];
};

const byName = new Map(
  OPTIONS.flatMap((option) => {
    const names = option.short === undefined ? [option.name] : [option.name, option.short];
    return names.map((name) => [name, option] as const);
  }),
);

/** The option of a name or of a short form, both without hyphens. */
export function findOption(name: string): Option | undefined {
  return byName.get(name);
}

/** A problem with a setting; its value is shown unless it is a secret. */
export function problemAt(setting: Setting, expected: string): ConfigProblem {
  const { option, source, line } = setting;
  const shown = option.value === undefined ? GIVEN : setting.text;
  return { source, line, key: option.name, value: option.secret ? HIDDEN : shown, expected };
}

/** A problem that no other value would mend, as a sentence. */
export function sayAt(setting: Setting, sentence: string): ConfigProblem {
  return { ...problemAt(setting, sentence), sentence: true };
}

/**
 * The problem of a word that stands where an option should and is none. Nothing of what follows
 * the option's name is shown: it may be a secret behind a slip of the pen.
 */
export function unknownOption(
  word: string,
  value: string | undefined,
  at: { readonly source: string; readonly line: number | undefined },
): ConfigProblem {
  const near = nearestOption(word);
  return {
    ...at,
    key: showableKey(word),
    unknown: true,
    value: value === undefined ? undefined : HIDDEN,
    expected:
      near === undefined
        ? 'ipipou help lists them'
        : `did you mean \`${at.line === undefined ? hyphenate(near) : near}\`?`,
  };
}

function showableKey(word: string): string {
  const secrets = OPTIONS.filter((option) => option.secret && word.startsWith(option.name));
  const longest = secrets.reduce((name, option) => {
    return option.name.length > name.length ? option.name : name;
  }, '');
  if (longest !== '') return `${longest}${HIDDEN}`;
  return /^[a-zA-Z0-9-]{1,32}$/.test(word) ? word : '(unreadable)';
}

/** The name that is fewest edits away, if they are few: a third of the word's length, at most 3. */
function nearestOption(word: string): string | undefined {
  const bound = Math.min(3, Math.floor(word.length / 3));
  let best: { name: string; distance: number } | undefined;
  for (const { name } of OPTIONS) {
    if (Math.abs(name.length - word.length) > bound) continue;
    const distance = editDistance(word.toLowerCase(), name);
    if (distance <= bound && distance < (best?.distance ?? Infinity)) best = { name, distance };
  }
  return best?.name;
}

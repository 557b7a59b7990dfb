import type { Choice, Flag, Kind, CompletedCommand } from './types.ts';

/** What stands for many words in a synopsis. */
type Vocabulary = { readonly commands: readonly string[]; readonly options: readonly string[] };

type Read = Pick<CompletedCommand, 'flags' | 'places' | 'endless'>;

const KINDS: Readonly<Record<string, Kind>> = {
  NAME: 'config',
  DEVICE: 'tunnel',
  FILE: 'file',
  CONFIG: 'file',
  BEFORE: 'file',
  AFTER: 'file',
  FOLDER: 'folder',
};

/**
 * Reads what `help COMMAND` prints: the lines before the first empty one are its synopsis, as in
 * `ipipou show NAME|DEVICE peer PEER [--json]`; lines `  --flag VALUE  words` below say what flags mean.
 */
export function readSynopsis(name: string, usage: string, vocabulary: Vocabulary): Read {
  const [synopsis = ''] = usage.split('\n\n');
  const flags = new Map<string, Flag>();
  const places: Choice[] = [];
  let endless = false;
  for (const line of synopsis.replaceAll(/\n +/g, ' ').split('\n')) {
    const tokens = tokensOf(line.slice(`ipipou ${name}`.length));
    let place = 0;
    for (let at = 0; at < tokens.length; at += 1) {
      const { text, closes } = tokens[at] ?? END;
      if (text === '…') {
        endless = true;
        // Of `OPTION [VALUE] …` any word behind may be either.
        const [before, last] = [places[place - 2], places[place - 1]];
        if (tokens[at - 1]?.opens === true && before !== undefined && last !== undefined) {
          places[place - 1] = joined(before, last);
        }
      } else if (text.startsWith('-')) {
        // Its value stands in the same brackets.
        const value = closes ? undefined : tokens[at + 1];
        const valued = value !== undefined && !value.opens && !value.text.startsWith('-');
        if (valued) at += 1;
        const choice = valued ? choiceOf(value.text, vocabulary) : undefined;
        const said = flags.get(text)?.value;
        flags.set(text, {
          spellings: [text],
          help: flagHelp(usage, text),
          value:
            valued && choice !== undefined
              ? { placeholder: said?.placeholder ?? value.text, ...joined(said, choice) }
              : undefined,
        });
      } else {
        if (text.endsWith('…')) endless = true;
        places[place] = joined(places[place], choiceOf(text.replace(/…$/, ''), vocabulary));
        place += 1;
      }
    }
  }
  return { flags: [...flags.values()], places, endless };
}

type Token = { readonly text: string; readonly opens: boolean; readonly closes: boolean };
const END: Token = { text: '', opens: false, closes: true };

/** The words of a line up to a redirection, and where brackets open and close. */
function tokensOf(line: string): readonly Token[] {
  const [said = ''] = line.split(' < ');
  return said
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => ({
      text: word.replaceAll(/[[\]]/g, ''),
      opens: word.startsWith('['),
      closes: word.endsWith(']'),
    }));
}

function choiceOf(token: string, { commands, options }: Vocabulary): Choice {
  const parts = token.split('|');
  const words = parts.flatMap((part) => {
    if (part === 'COMMAND') return commands;
    if (part === 'OPTION') return options;
    return /^[a-z][a-z0-9-]*$/.test(part) ? [part] : [];
  });
  const kinds = parts.flatMap((part) => KINDS[part] ?? []);
  return { words, kinds };
}

function joined(one: Choice | undefined, other: Choice): Choice {
  if (one === undefined) return other;
  return {
    words: [...new Set([...one.words, ...other.words])],
    kinds: [...new Set([...one.kinds, ...other.kinds])],
  };
}

/** What the usage says of a flag on a line of its own. */
function flagHelp(usage: string, flag: string): string {
  const lines = usage.split('\n').filter((line) => line.trimStart().startsWith(`${flag} `));
  const said = lines.map((line) => /^ {2}\S+(?: \S+)? {2,}(.+)$/.exec(line)?.[1]);
  return said.find((text) => text !== undefined) ?? '';
}

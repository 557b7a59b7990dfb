import type { ConfigProblem } from '../errors.ts';
import {
  findOption,
  problemAt,
  unknownOption,
  type ParsedSource,
  type Section,
  type Setting,
} from './setting.ts';
import { peerName } from './syntax-peers.ts';

/**
 * The settings of a config file. One option a line, its name and its value separated by one space;
 * the value is all the rest of the line, blanks included. Blanks, tabs and hyphens before a name
 * are ignored, and so are empty lines and lines that begin with `#`. What follows a `peer` line, up
 * to the next one or the end of the file, is that peer's section. Never throws.
 */
export function parseConfigFile(text: string, source: string): ParsedSource {
  const settings: Setting[] = [];
  const sections: Section[] = [];
  const problems: ConfigProblem[] = [];
  // Where the next setting goes; undefined before the first section.
  let open: Setting[] | undefined;
  const lines = text.replace(/^\u{feff}/u, '').split('\n');
  for (const [index, raw] of lines.entries()) {
    const content = raw.replace(/\r$/, '').replace(/^[ \t-]+/, '');
    if (content === '' || content.startsWith('#')) continue;
    const read = parseLine(content, { source, line: index + 1 });
    if (!('option' in read)) {
      problems.push(read);
      // A section without a name: what follows is not the last one's.
      if (read.key === 'peer') open = [];
    } else if (read.option.name === 'peer') {
      open = [];
      const name = peerName.read(read.text);
      if (name.ok) sections.push({ id: name.value, source, line: index + 1, settings: open });
      else problems.push(problemAt(read, name.expected));
    } else if (open !== undefined && read.option.peer === undefined) {
      problems.push(problemAt(read, 'it before the first `peer`: it is no option of a peer'));
    } else {
      (open ?? settings).push(read);
    }
  }
  return { source, settings, sections, problems };
}

type Place = { readonly source: string; readonly line: number };

function parseLine(content: string, place: Place): Setting | ConfigProblem {
  const space = content.indexOf(' ');
  const word = space < 0 ? content : content.slice(0, space);
  const value = space < 0 ? undefined : content.slice(space + 1);
  const option = findOption(word);
  if (option === undefined) return notAnOption(word, value, place);
  const setting = { option, text: value ?? '', ...place };
  if (option.commandLineOnly) {
    return problemAt(setting, 'it on the command line; a file cannot say this');
  }
  if (option.value === undefined) {
    if (setting.text.trim() === '') return { ...setting, text: '' };
    return { ...place, key: option.name, value: setting.text, expected: 'no value' };
  }
  if (setting.text === '') {
    return {
      ...place,
      key: option.name,
      value: undefined,
      expected: `${option.value.expected}, after one space`,
    };
  }
  return setting;
}

function notAnOption(word: string, value: string | undefined, place: Place): ConfigProblem {
  const name = /^[A-Za-z0-9-]+/.exec(word)?.[0];
  const option = name === undefined ? undefined : findOption(name);
  if (option === undefined) return unknownOption(word, value, place);
  const expected = option.value === undefined ? 'nothing after it' : 'one space, then the value';
  return problemAt({ option, text: word.slice(option.name.length), ...place }, expected);
}

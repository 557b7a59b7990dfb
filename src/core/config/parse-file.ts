import type { ConfigProblem } from '../errors.ts';
import {
  findOption,
  problemAt,
  sayAt,
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
 * to the next one or the end of the file, is that peer's section; its lines are read by
 * `parseSection`, one section at a time, because there may be a hundred thousand. Never throws.
 */
export function parseConfigFile(text: string, source: string): ParsedSource {
  const foreign = /^[ \t]*\[(?:Interface|Peer)\]/im.exec(text);
  if (foreign) {
    const line = 1 + countLines(text, 0, foreign.index + 1);
    return { source, settings: [], sections: [], problems: [wireGuardFile({ source, line })] };
  }
  const first = text.search(SECTION_HEAD);
  const top = text.slice(0, first < 0 ? text.length : first).replace(/^\u{feff}/u, '');
  const { settings, problems } = parseLines(top, { source, line: 1 });
  const sections: Section[] = [];
  const found = [...problems];
  let line = 1;
  let counted = 0;
  for (const { at, head, body } of cutSections(text)) {
    line += countLines(text, counted, at);
    counted = at;
    const read = parseContent(contentOf(head), { source, line });
    const name = 'option' in read ? peerName.read(read.text) : undefined;
    if (name?.ok) sections.push({ id: name.value, source, line, body });
    else found.push('option' in read ? problemAt(read, name?.expected ?? '') : read);
  }
  return { source, settings, sections, problems: found };
}

/** The key of the one problem of a file that is another program's: nothing else is read of it. */
export const FOREIGN = '[Interface]';

function wireGuardFile(place: Place): ConfigProblem {
  const expected = 'this looks like a WireGuard file; ipipou has options of its own (ipipou help)';
  return { ...place, key: FOREIGN, value: undefined, expected, sentence: true };
}

/** A line that begins with the word `peer`, as a file's lines may begin. */
const SECTION_HEAD = /^[ \t-]*peer(?![A-Za-z0-9-])[^\n]*/gm;

/** Whether a line begins a section. */
export function isSectionHead(line: string): boolean {
  return /^peer(?![A-Za-z0-9-])/.test(contentOf(line));
}

/** The word that a line begins with. */
export function wordOf(line: string): string {
  const content = contentOf(line);
  const space = content.indexOf(' ');
  return space < 0 ? content : content.slice(0, space);
}

type Cut = { readonly at: number; readonly head: string; readonly body: string };

/** Every `peer` line, where it begins, and the lines behind it. */
function* cutSections(text: string): Generator<Cut> {
  let open: { readonly at: number; readonly head: string } | undefined;
  const cut = ({ at, head }: Omit<Cut, 'body'>, end?: number): Cut => {
    return { at, head, body: text.slice(at + head.length + 1, end) };
  };
  for (const { index: at, 0: head } of text.matchAll(SECTION_HEAD)) {
    if (open) yield cut(open, at);
    open = { at, head };
  }
  if (open) yield cut(open);
}

/** How many lines begin behind `from`, up to `to`. */
function countLines(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf('\n', from); at >= 0 && at < to; at = text.indexOf('\n', at + 1)) {
    count += 1;
  }
  return count;
}

type Lines = { readonly settings: readonly Setting[]; readonly problems: readonly ConfigProblem[] };

/** The lines of one section; what is no option of a peer is a problem. Never throws. */
export function parseSection({ body, source, line }: Section): Lines {
  const { settings, problems } = parseLines(body, { source, line: line + 1 });
  if (settings.every(({ option }) => option.peer !== undefined)) return { settings, problems };
  const strays = settings.filter(({ option }) => option.peer === undefined);
  return {
    settings: settings.filter(({ option }) => option.peer !== undefined),
    problems: [
      ...problems,
      ...strays.map((stray) =>
        sayAt(
          stray,
          `${stray.option.name} cannot be set per peer: put it before the first line \`peer\``,
        ),
      ),
    ],
  };
}

/** `first` is the place of the first line. */
function parseLines(text: string, first: Place): Lines {
  const settings: Setting[] = [];
  const problems: ConfigProblem[] = [];
  let { line } = first;
  for (const raw of text.split('\n')) {
    const content = contentOf(raw);
    if (content !== '' && !content.startsWith('#')) {
      const read = parseContent(content, { source: first.source, line });
      if ('option' in read) settings.push(read);
      else problems.push(read);
    }
    line += 1;
  }
  return { settings, problems };
}

/** A line without what does not count. */
export function contentOf(raw: string): string {
  return raw.replace(/\r$/, '').replace(/^[ \t-]+/, '');
}

type Place = { readonly source: string; readonly line: number };

function parseContent(content: string, place: Place): Setting | ConfigProblem {
  const space = content.indexOf(' ');
  const word = space < 0 ? content : content.slice(0, space);
  const value = space < 0 ? undefined : detached(content.slice(space + 1));
  const option = findOption(word);
  if (option === undefined) return notAnOption(word, value, place);
  const setting = { option, text: value ?? '', ...place };
  if (option.commandLineOnly) {
    return sayAt(setting, `${option.name} can be given on the command line only`);
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

/** The same text by itself: what is cut from a file keeps all of it in memory as long as it lives. */
function detached(text: string): string {
  return text.split('').join('');
}

function notAnOption(word: string, value: string | undefined, place: Place): ConfigProblem {
  const name = /^[A-Za-z0-9-]+/.exec(word)?.[0];
  const option = name === undefined ? undefined : findOption(name);
  if (option === undefined) return unknownOption(word, value, place);
  const expected = option.value === undefined ? 'nothing after it' : 'one space, then the value';
  return problemAt({ option, text: word.slice(option.name.length), ...place }, expected);
}

import type { Option } from '../option.ts';
import { formatScope } from './describe.ts';
import { wrap } from './wrap.ts';

/* Parts of manual pages, in the man macros of roff. */

export function example(title: string, lines: readonly string[]): readonly string[] {
  return [roff(title), '.IP', '.nf', ...lines.map(roff), '.fi'];
}

/** An option by its usage: what it means, its values, its default, where it may stand. */
export function formatEntry(option: Option, usage: string): readonly string[] {
  const scope = formatScope(option);
  return [
    '.TP',
    `.B ${roff(usage)}`,
    ...paragraph(option.help),
    ...(option.value === undefined ? [] : paragraph(`Value: ${option.value.expected}.`)),
    ...(option.fallback === undefined ? [] : paragraph(`[${option.fallback}]`)),
    ...(scope === undefined ? [] : paragraph(`(${scope})`)),
  ];
}

/** Running text, without the backticks that mark code elsewhere, as input lines, none of which is taken for a request. */
export function paragraph(text: string): readonly string[] {
  return wrap(text.replaceAll('`', ''), 70)
    .map(roff)
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line));
}

/** Escapes what roff would take for its own. */
export function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq');
}

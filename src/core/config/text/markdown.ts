import type { Option } from '../option.ts';
import { formatScope, formatUsage, groupOptions } from './describe.ts';

/** What stands around the option table in docs/OPTIONS.md. */
export const TABLE_BEGIN = '<!-- options: begin -->';
export const TABLE_END = '<!-- options: end -->';

/** The option table as Markdown, columns aligned: a heading and a table for each group. */
export function formatOptionTable(): string {
  const parts = groupOptions().map(({ title, options }) =>
    [`### ${title}`, '', ...formatTable([HEAD, ...options.map(formatCells)])].join('\n'),
  );
  return `${parts.join('\n\n')}\n`;
}

const HEAD = ['option', 'value', 'default', 'meaning'];

function formatCells(option: Option): readonly string[] {
  const scope = formatScope(option);
  return [
    `\`${formatUsage(option)}\``,
    escape(option.value?.expected ?? ''),
    escape(option.fallback ?? ''),
    `${escape(option.help)}${scope === undefined ? '' : ` _(${scope})_`}`,
  ];
}

/** A Markdown table, columns aligned, of rows of as many cells as the first, which is the head. */
export function formatTable(rows: readonly (readonly string[])[]): readonly string[] {
  const [head = []] = rows;
  const widths = head.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  const lines = rows.map((cells) =>
    cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | '),
  );
  const rule = widths.map((width) => '-'.repeat(width)).join(' | ');
  return [...lines.slice(0, 1), rule, ...lines.slice(1)].map((line) => `| ${line} |`);
}

/** `text` with the table between its markers renewed; undefined when the markers are not there. */
export function replaceOptionTable(text: string): string | undefined {
  const begin = text.indexOf(TABLE_BEGIN);
  const end = text.indexOf(TABLE_END);
  if (begin < 0 || end < begin) return undefined;
  const before = text.slice(0, begin + TABLE_BEGIN.length);
  return `${before}\n\n${formatOptionTable()}\n${text.slice(end)}`;
}

/** `text` with what stands between the two marks of a name replaced; throws when they are not there. */
export function replaceMarked(text: string, name: string, part: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the marks of ${name} are missing`);
  return `${text.slice(0, from + begin.length)}\n\n${part.trim()}\n\n${text.slice(to)}`;
}

/** Escapes what Markdown would take for its own. */
function escape(text: string): string {
  return text.replace(/[\\|*_<]/g, '\\$&');
}

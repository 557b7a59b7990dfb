import { formatScope, formatUsage, groupOptions } from './describe.ts';

/** What stands around the option table in the README. */
export const TABLE_BEGIN = '<!-- options: begin -->';
export const TABLE_END = '<!-- options: end -->';

/** The option table as Markdown: a heading and a table for each group. */
export function formatOptionTable(): string {
  const parts = groupOptions().map(({ title, options }) =>
    [
      `### ${title}`,
      '',
      '| option | value | default | |',
      '| --- | --- | --- | --- |',
      ...options.map((option) => {
        const scope = formatScope(option);
        const words = `${option.help}${scope === undefined ? '' : ` *(${scope})*`}`;
        const cells = [option.value?.expected ?? '', option.fallback ?? '', words];
        return `| \`${formatUsage(option)}\` | ${cells.map(escapeCell).join(' | ')} |`;
      }),
    ].join('\n'),
  );
  return `${parts.join('\n\n')}\n`;
}

/** `text` with the table between its markers renewed; undefined when the markers are not there. */
export function replaceOptionTable(text: string): string | undefined {
  const begin = text.indexOf(TABLE_BEGIN);
  const end = text.indexOf(TABLE_END);
  if (begin < 0 || end < begin) return undefined;
  const before = text.slice(0, begin + TABLE_BEGIN.length);
  return `${before}\n\n${formatOptionTable()}\n${text.slice(end)}`;
}

/** Characters that Markdown would take for its own; `*(` of the scope is meant. */
function escapeCell(text: string): string {
  return text.replace(/[\\|"<>_]|\*(?![(\n]|$)/g, (mark) => (mark === '"' ? mark : `\\${mark}`));
}

/** A table for people: the first column is text, the others are figures. */
export type Table = {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes: readonly string[];
};

/** Text with aligned columns, for a terminal. */
export function formatTerminal({ title, columns, rows, notes }: Table): string {
  const all = [columns, ...rows];
  const widths = columns.map((_, at) => Math.max(...all.map((row) => (row[at] ?? '').length)));
  const line = (row: readonly string[]): string =>
    columns
      .map((_, at) => {
        const cell = row[at] ?? '';
        return at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0);
      })
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  const lines = [
    title,
    '',
    line(columns),
    rule,
    ...rows.map(line),
    ...notes.map((note) => `  ${note}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** The same for Markdown; the title becomes a heading of this level, or (0) is left out. */
export function formatMarkdown({ title, columns, rows, notes }: Table, level = 3): string {
  const escape = (cell: string): string => cell.replaceAll('|', '\\|');
  const line = (row: readonly string[]): string => `| ${row.map(escape).join(' | ')} |`;
  const rule = columns.map((_, at) => (at === 0 ? '---' : '--:'));
  return [
    ...(level === 0 ? [] : [`${'#'.repeat(level)} ${title}`, '']),
    ...[line(columns), line(rule), ...rows.map(line)],
    ...notes.flatMap((note) => ['', note]),
    '',
  ].join('\n');
}

/** "12 345", "0.85": thousands apart by a narrow no-break space, so many decimals. */
export function formatNumber(value: number, digits: number): string {
  const [whole = '', fraction] = value.toFixed(digits).split('.');
  const grouped = whole.replaceAll(/\B(?=(?:[0-9]{3})+$)/g, '\u202f');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** A table for people: columns of figures are aligned to the right. */
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
        const width = widths[at] ?? 0;
        return holdsFigures(rows, at) ? cell.padStart(width) : cell.padEnd(width);
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
  const rule = columns.map((_, at) => (holdsFigures(rows, at) ? '--:' : '---'));
  return [
    ...(level === 0 ? [] : [`${'#'.repeat(level)} ${title}`, '']),
    ...[line(columns), line(rule), ...rows.map(line)],
    ...notes.flatMap((note) => ['', note]),
    '',
  ].join('\n');
}

/** Figures, and words for those that are missing; the first column has names. */
function holdsFigures(rows: Table['rows'], at: number): boolean {
  return at > 0 && rows.every((row) => /^($|–$|varies$|[0-9])/.test(row[at] ?? ''));
}

/** "12 345", "0.85": thousands apart by a narrow no-break space, so many decimals. */
export function formatNumber(value: number, digits: number): string {
  const [whole = '', fraction] = value.toFixed(digits).split('.');
  const grouped = whole.replaceAll(/\B(?=(?:[0-9]{3})+$)/g, '\u202f');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

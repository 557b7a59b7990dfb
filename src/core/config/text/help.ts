import { formatScope, formatUsage, groupOptions } from './describe.ts';
import { wrap } from './wrap.ts';

const WIDTH = 80;

/** One command of the program, as help lists it. */
export type CommandHelp = {
  readonly name: string;
  readonly summary: string;
  /** Its synopsis, a line each, then paragraphs and, indented, its options. */
  readonly usage: string;
};

/** The text of `--help`: lines of at most 80 characters. */
export function formatHelp(
  commands: readonly Pick<CommandHelp, 'name' | 'summary'>[] = [],
): string {
  const lines = [
    'usage: ipipou [OPTION]...',
    ...(commands.length === 0 ? [] : ['       ipipou COMMAND [ARGUMENT]...']),
    '',
    ...wrap(
      'Bring up one end of an authenticated IP-in-UDP tunnel and keep it up until SIGTERM or ' +
        'SIGINT. SIGUSR1 makes a client authenticate again; SIGHUP reads the config again first.',
      WIDTH,
    ),
  ];
  if (commands.length > 0) {
    lines.push('', 'Commands:');
    for (const { name, summary } of commands) lines.push(...entry(name, summary));
  }
  for (const { title, options } of groupOptions()) {
    lines.push('', `${title}:`);
    for (const option of options) {
      const scope = formatScope(option);
      const notes = [
        ...(option.fallback === undefined ? [] : [`default: ${option.fallback}`]),
        ...(scope === undefined ? [] : [scope]),
      ].join('; ');
      lines.push(...entry(formatUsage(option), `${option.help}${notes && ` [${notes}]`}`));
    }
  }
  lines.push(
    '',
    ...wrap(
      'A config file has one option a line, without hyphens, and its value behind one space. ' +
        'Empty lines and lines that begin with # are ignored. Options marked per peer may also ' +
        'stand in sections, behind lines `peer NAME`; those marked inherited are the defaults of ' +
        'all sections where they stand before the first.',
      WIDTH,
    ),
  );
  return `${lines.join('\n')}\n`;
}

const COLUMN = 26;

/** Usage at the left, help in a column at the right; below it where the usage is too long. */
function entry(usage: string, help: string): readonly string[] {
  const left = `  ${usage}`;
  const [first = '', ...others] = wrap(help, WIDTH, ' '.repeat(COLUMN));
  if (left.length > COLUMN - 2) return [left, first, ...others];
  return [left.padEnd(COLUMN) + first.slice(COLUMN), ...others];
}

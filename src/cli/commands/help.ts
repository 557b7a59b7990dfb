import { formatHelp } from '../../core/config/text/help.ts';
import { formatManPage } from '../../core/config/text/man.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { findCommand } from '../find-command.ts';
import { versionLine } from '../version.ts';

export const helpCommand: Command = {
  name: 'help',
  summary: 'list commands and options, or explain a command',
  usage: `ipipou help [COMMAND]
ipipou help --man

With --man the manual page, ipipou(8): ipipou help --man | man -l -`,
  endsAtOnce: true,
  async run(args, context) {
    const shape = { flags: ['man'], names: [0, 1] as const, what: 'a command' };
    const { flags, names } = readGiven('help', args, shape);
    const [name] = names;
    if (flags.has('man')) {
      context.stdout(formatManPage(versionLine().replace('ipipou ', '').trim(), context.commands));
    } else if (name === undefined) context.stdout(formatHelp(context.commands));
    else context.stdout(commandHelp(findCommand(name, context.commands)));
    return EXIT.ok;
  },
};

/** What `help NAME` and `NAME --help` print. */
export function commandHelp(command: Command): string {
  return `ipipou ${command.name}: ${command.summary}\n\n${command.usage}\n`;
}

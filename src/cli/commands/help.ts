import { formatHelp } from '../../core/config/text/help.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { findCommand } from '../find-command.ts';

export const helpCommand: Command = {
  name: 'help',
  summary: 'list commands and options, or explain a command',
  usage: 'ipipou help [COMMAND]',
  endsAtOnce: true,
  async run(args, context) {
    const [name] = readGiven('help', args, { names: [0, 1], what: 'a command' }).names;
    if (name === undefined) context.stdout(formatHelp(context.commands));
    else context.stdout(commandHelp(findCommand(name, context.commands)));
    return EXIT.ok;
  },
};

/** What `help NAME` and `NAME --help` print. */
export function commandHelp(command: Command): string {
  return `ipipou ${command.name}: ${command.summary}\n\n${command.usage}\n`;
}

import { formatHelp } from '../../core/config/text/help.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import { helpOf, type Command } from '../command.ts';
import { findCommand, loadAll } from '../find-command.ts';
import { versionLine } from '../version.ts';
import { listed, SUMMARIES } from './summaries.ts';

export const helpCommand: Command = {
  name: 'help',
  summary: SUMMARIES.help,
  usage: `ipipou help [COMMAND]
ipipou help --man

With --man the manual page, ipipou(8): ipipou help --man | man -l -`,
  endsAtOnce: true,
  async run(args, context) {
    const shape = { flags: ['man'], names: [0, 1] as const, what: 'a command' };
    const { flags, names } = readGiven('help', args, shape);
    const [name] = names;
    if (flags.has('man')) {
      const version = versionLine().replace('ipipou ', '').trim();
      const { formatManPage } = await import('../../core/config/text/man.ts');
      context.stdout(formatManPage(version, await loadAll(context.commands)));
    } else if (name === undefined) context.stdout(formatHelp(listed()));
    else context.stdout(helpOf(await findCommand(name, context.commands)));
    return EXIT.ok;
  },
};

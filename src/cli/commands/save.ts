import { askDaemon } from '../../app/management/ask-daemon.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { findRun } from '../find-run.ts';
import { whileWorking } from '../waiting.ts';
import { SUMMARIES } from './summaries.ts';

export const saveCommand: Command = {
  name: 'save',
  summary: SUMMARIES.save,
  usage: `ipipou save NAME|FILE|DEVICE

Writes what \`ipipou set\` has changed since the file was read: peers added, removed, changed. All
other lines, comments and their order stay. Where the file says something else of such a peer by
now, nothing is written. The file is replaced as a whole, with its mode and owner.`,
  endsAtOnce: true,
  async run(args, context) {
    const shape = { names: [1, 1] as const, what: 'a tunnel' };
    const [tunnel = ''] = readGiven('save', args, shape).names;
    const daemons = await context.daemons();
    const entry = findRun(tunnel, daemons.runs);
    const { saved = 0 } = await whileWorking(
      askDaemon(entry, daemons, { request: 'save' }),
      context,
    );
    const what = saved === 1 ? 'one peer' : `${saved} peers`;
    context.stdout(
      saved === 0
        ? `${entry.device}: nothing was changed since its file was read\n`
        : `${entry.device}: ${what} written to ${entry.record.configPath}\n`,
    );
    return EXIT.ok;
  },
};

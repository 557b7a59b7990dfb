import { askDaemon } from '../../app/management/ask-daemon.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import { changesText, hasChanged, warningsText } from '../changes-text.ts';
import type { Command } from '../command.ts';
import { findRun } from '../find-run.ts';
import { whileWorking } from '../waiting.ts';
import { SUMMARIES } from './summaries.ts';

export const reloadCommand: Command = {
  name: 'reload',
  summary: SUMMARIES.reload,
  usage: `ipipou reload NAME|FILE|DEVICE

Makes the peers those of the tunnel's own files, as SIGHUP does; the traffic of peers that are the
same goes on. What else is changed is named: it needs a restart. A faulty file changes nothing. A
client authenticates again to its servers, which SIGUSR1 alone does, too.`,
  endsAtOnce: true,
  async run(args, context) {
    const [word = ''] = readGiven('reload', args, { names: [1, 1], what: 'a tunnel' }).names;
    const daemons = await context.daemons();
    const entry = findRun(word, daemons.runs);
    const granted = await whileWorking(askDaemon(entry, daemons, { request: 'reload' }), context);
    context.stderr(warningsText(granted));
    const client = entry.record.config.role === 'client';
    if (!client || hasChanged(granted)) context.stdout(changesText(entry.device, granted));
    if (client) context.stdout(`${entry.device} authenticates again\n`);
    return EXIT.ok;
  },
};

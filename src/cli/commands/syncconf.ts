import { resolve } from 'node:path';
import { askDaemon } from '../../app/management/ask-daemon.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import { changesText, warningsText } from '../changes-text.ts';
import type { Command } from '../command.ts';
import { findRun } from '../find-run.ts';
import { whileWorking } from '../waiting.ts';
import { readConfigFile } from '../load-config.ts';
import { SUMMARIES } from './summaries.ts';

export const syncconfCommand: Command = {
  name: 'syncconf',
  summary: SUMMARIES.syncconf,
  usage: `ipipou syncconf NAME|FILE|DEVICE CONFIG

Adds, changes and removes peers until they are those of the file CONFIG; the traffic of peers that
are the same goes on. A file that begins with a \`peer\` line has peers only; of others, what is not a
peer's and is changed is named, since it needs a restart. A faulty file changes nothing.`,
  endsAtOnce: true,
  async run(args, context) {
    const shape = { names: [2, 2] as const, what: 'a tunnel and a file' };
    const [tunnel = '', file = ''] = readGiven('syncconf', args, shape).names;
    const { text } = await readConfigFile(file);
    const daemons = await context.daemons();
    const entry = findRun(tunnel, daemons.runs);
    const source = resolve(file);
    const granted = await whileWorking(
      askDaemon(entry, daemons, { request: 'sync', source, text }),
      context,
    );
    context.stderr(warningsText(granted));
    context.stdout(changesText(entry.device, granted));
    return EXIT.ok;
  },
};

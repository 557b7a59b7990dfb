import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { versionLine } from '../version.ts';
import { SUMMARIES } from './summaries.ts';

export const versionCommand: Command = {
  name: 'version',
  summary: SUMMARIES.version,
  usage: 'ipipou version',
  endsAtOnce: true,
  async run(args, context) {
    readGiven('version', args, { names: [0, 0] });
    context.stdout(versionLine());
    return EXIT.ok;
  },
};

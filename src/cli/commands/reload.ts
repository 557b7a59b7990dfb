import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { findRun } from '../find-run.ts';

export const reloadCommand: Command = {
  name: 'reload',
  summary: 'make a client authenticate again',
  usage: `ipipou reload NAME|FILE|DEVICE

What SIGUSR1 and SIGHUP do, too. A server does not authenticate, its clients do.`,
  endsAtOnce: true,
  async run(args, context) {
    const [word = ''] = readGiven('reload', args, { names: [1, 1], what: 'a tunnel' }).names;
    const { runs, control } = await context.machine();
    const entry = findRun(word, runs);
    if (!entry.alive) {
      const { pid } = entry.record.process;
      throw new IpipouError('generic', `${entry.device}: its daemon (process ${pid}) is dead`, {
        hint: `ipipou up ${entry.record.configPath ?? entry.record.config.name}`,
      });
    }
    const reply = await control.ask(entry.controlPath, { request: 'reauthenticate' });
    if (!reply.ok) throw new IpipouError('generic', `${entry.device}: ${reply.error}`);
    context.stdout(`${entry.device} authenticates again\n`);
    return EXIT.ok;
  },
};

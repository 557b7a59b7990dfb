import { dropThread, prepareThread } from '../../adapters/planes/tun/spare-thread.ts';
import { limitGarbage } from '../../adapters/system/heap.ts';
import type { Loaded } from '../../core/config/loaded.ts';
import type { Resolved } from '../../core/config/resolve.ts';
import { formatHelp } from '../../core/config/text/help.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import { reporterOf, type Reporter } from '../background.ts';
import type { Wanted } from '../bring-up.ts';
import type { Command, CommandContext } from '../command.ts';
import { keyPairText } from '../key-text.ts';
import { loadConfig } from '../load-config.ts';
import { versionLine } from '../version.ts';
import { listed, SUMMARIES } from './summaries.ts';

export const runCommand: Command = {
  name: 'run',
  summary: SUMMARIES.run,
  usage: `ipipou [run] --config NAME [OPTION…]
ipipou [run] OPTION…

Takes the tunnel up and stays with it. SIGTERM and SIGINT take it down (a second one does not wait
for packets in hand); SIGUSR1 makes a client authenticate again; SIGHUP does so, too, after reading
the config again (ipipou help reload). After SIGQUIT or kill -9 the tunnel stays as it is, and the
next run takes it over. \`ipipou help\` lists the options.`,
  run: async (args, context) => {
    const reporter = reporterOf(context.env);
    limitGarbage();
    try {
      const loaded = await loadConfig(args);
      return await act(args, loaded, context, reporter);
    } catch (error) {
      reporter?.failed(error);
      throw error;
    }
  },
};

async function act(
  args: readonly string[],
  loaded: Loaded,
  context: CommandContext,
  reporter: Reporter | undefined,
): Promise<ExitCode> {
  const { resolved } = loaded;
  if ('config' in resolved) {
    try {
      // Its thread loads while this one does.
      if (resolved.action === 'run' && resolved.config.dataplane === 'tun') prepareThread();
      const { bringUp } = await import('../bring-up.ts');
      return await bringUp(args, loaded, resolved, context, reporter);
    } finally {
      await dropThread();
    }
  }
  context.stdout(await textOf(resolved));
  return EXIT.ok;
}

async function textOf(asked: Exclude<Resolved, Wanted>): Promise<string> {
  if (asked.action === 'help') return formatHelp(listed());
  return asked.action === 'version' ? versionLine() : keyPairText(asked.labelled);
}

import { readFile } from 'node:fs/promises';
import { askDaemon } from '../../app/management/ask-daemon.ts';
import { VERBOSITY_MAX } from '../../core/config/limits.ts';
import { levelOf } from '../../core/config/log-level.ts';
import { parseDecimal } from '../../core/config/syntax.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import { misuse } from '../arguments.ts';
import { warningsText } from '../changes-text.ts';
import type { Command, CommandContext } from '../command.ts';
import { findRun } from '../find-run.ts';
import { whileWorking } from '../waiting.ts';
import { readPeerWords } from '../peer-words.ts';
import { reasonOf } from '../print-error.ts';
import { SUMMARIES } from './summaries.ts';

export const setCommand: Command = {
  name: 'set',
  summary: SUMMARIES.set,
  usage: `ipipou set NAME|FILE|DEVICE peer PEER OPTION [VALUE] …
ipipou set NAME|FILE|DEVICE peer PEER remove
ipipou set NAME|FILE|DEVICE verb N

Options are those of a \`peer\` section. A new peer inherits what its section would; a change keeps
what is not named, and the traffic of other peers goes on. Files are left as they are until
\`ipipou save\`; without it the next reload forgets what they do not say. Others see the arguments of
a command: a secret is better given as @PATH, a file of that one line, or as -, for standard input.
\`verb\` is the option of that name: what is logged, from now on and until the next reload.`,
  endsAtOnce: true,
  async run(args, context) {
    const [tunnel, keyword, peer, ...words] = args;
    if (tunnel !== undefined && keyword === 'verb' && words.length === 0) {
      return setVerb(tunnel, peer ?? '', context);
    }
    if (tunnel === undefined || keyword !== 'peer' || peer === undefined || words.length === 0) {
      throw new IpipouError(
        'arguments',
        'set: expected a tunnel, and `peer`, its name, and options, or `verb N`',
        {
          hint: 'ipipou help set',
        },
      );
    }
    const remove = words.length === 1 && words[0] === 'remove';
    const { options, openSecrets } = remove
      ? { options: [], openSecrets: [] }
      : await readPeerWords(words, secretReader(context));
    for (const name of openSecrets) {
      context.stderr(
        `warning: ${name} on the command line can be read by every user of this machine: give @PATH, or - for standard input\n`,
      );
    }
    const daemons = await context.daemons();
    const entry = findRun(tunnel, daemons.runs);
    if (remove) {
      await whileWorking(askDaemon(entry, daemons, { request: 'remove-peer', peer }), context);
      context.stdout(`${entry.device}: peer ${peer} removed\n`);
      return EXIT.ok;
    }
    const granted = await whileWorking(
      askDaemon(entry, daemons, { request: 'set-peer', peer, options }),
      context,
    );
    context.stderr(warningsText(granted));
    context.stdout(`${entry.device}: peer ${peer} set\n`);
    return EXIT.ok;
  },
};

async function setVerb(tunnel: string, text: string, context: CommandContext): Promise<ExitCode> {
  const verb = parseDecimal(text, 0, VERBOSITY_MAX);
  if (verb === undefined) throw misuse('set', `verb takes a number from 0 to ${VERBOSITY_MAX}`);
  const daemons = await context.daemons();
  const entry = findRun(tunnel, daemons.runs);
  await askDaemon(entry, daemons, { request: 'set-verb', verb });
  context.stdout(`${entry.device}: logs up to level ${levelOf(verb)}\n`);
  return EXIT.ok;
}

/** Reads what `@PATH` or `-` stands for; standard input once. */
function secretReader(context: CommandContext): (where: string) => Promise<string> {
  let taken = false;
  return async (where) => {
    if (where === '-' && taken) {
      throw new IpipouError('arguments', 'set: standard input can be one value only');
    }
    if (where === '-') {
      taken = true;
      return context.stdin();
    }
    try {
      return await readFile(where.slice(1), 'utf8');
    } catch (error) {
      throw new IpipouError('arguments', `set: cannot read the value: ${reasonOf(error)}`);
    }
  };
}

import { IpipouError } from '../core/errors.ts';
import { constants } from 'node:os';
import { helpOf, type CommandContext } from './command.ts';
import { findCommand } from './find-command.ts';
import { exitCodeOf, formatError } from './print-error.ts';

/** Runs the command that the arguments name; its exit code. Prints errors; never rejects. */
export async function runCli(args: readonly string[], context: CommandContext): Promise<number> {
  try {
    const [first, ...rest] = args;
    const named = first !== undefined && !first.startsWith('-');
    const command = await findCommand(named ? first : 'run', context.commands);
    if (args.length === 0) {
      throw new IpipouError('arguments', 'nothing to do', {
        hint: 'ipipou --config NAME, ipipou up NAME; ipipou help lists commands and options',
      });
    }
    if (named && command.name !== 'run' && asksForHelp(rest)) {
      context.stdout(helpOf(command));
      return 0;
    }
    const given = named ? rest : args;
    if (command.endsAtOnce !== true) return await command.run(given, context);
    return await Promise.race([command.run(given, context), ended(context.signal)]);
  } catch (error) {
    context.stderr(formatError(error));
    return exitCodeOf(error);
  }
}

function asksForHelp(args: readonly string[]): boolean {
  return args.some((argument) => argument === '--help' || argument === '-h');
}

/** 128 and the signal's number, as shells tell of processes that a signal ended. */
function ended(signal: AbortSignal): Promise<number> {
  return new Promise((resolve) => {
    const end = (): void =>
      resolve(
        128 + (signal.reason === 'SIGINT' ? constants.signals.SIGINT : constants.signals.SIGTERM),
      );
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
  });
}

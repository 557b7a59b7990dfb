import type { ExitCode } from '../core/exit-codes.ts';
import type { Daemons, Machine } from './machine.ts';

/** SIGUSR1: authenticate again; SIGHUP: read the config again first. */
export type ReloadSignal = 'SIGUSR1' | 'SIGHUP';

/** Where a command's words go and what stops it; commands never touch process.exit or the console. */
export type CommandContext = {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Lines of the terminal that stdout is; undefined where it is none. */
  readonly rows: () => number | undefined;
  /** Resolves when stdout takes more without keeping it: whether anybody still reads. */
  readonly flushed: () => Promise<boolean>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGINT and SIGTERM; a command then cleans up and returns. */
  readonly signal: AbortSignal;
  /** Aborted by a second one: clean up without waiting. */
  readonly hurry: AbortSignal;
  /** Calls back on SIGUSR1 and SIGHUP; returns what stops it. */
  readonly onReload: (callback: (signal: ReloadSignal) => void) => () => void;
  /** All of standard input, as text; rejects when it is longer than any key or config. */
  readonly stdin: () => Promise<string>;
  /** Every command there is. */
  readonly commands: Commands;
  /** The tunnels that run here and their daemons, by the ports that commands use; loaded when first asked for. */
  readonly daemons: () => Promise<Daemons>;
  /** The whole of this machine, likewise; takes longer to load. */
  readonly machine: () => Promise<Machine>;
};

/** The command table: what loads each command, by its name. */
export type Commands = Readonly<Record<string, () => Promise<Command>>>;

export type Command = {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `help NAME` prints after the summary. */
  readonly usage: string;
  /** `args`: what follows the command's name. */
  /** A signal may end the process in the middle: there is nothing to clean up. */
  readonly endsAtOnce?: true;
  readonly run: (args: readonly string[], context: CommandContext) => Promise<ExitCode>;
};

/** What `help NAME` and `NAME --help` print. */
export function helpOf({ name, summary, usage }: Command): string {
  return `ipipou ${name}: ${summary}\n\n${usage}\n`;
}

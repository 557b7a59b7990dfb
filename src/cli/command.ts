import type { ExitCode } from '../core/exit-codes.ts';

/** Where a command's words go and what stops it; commands never touch process.exit or the console. */
export type CommandContext = {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGINT and SIGTERM; a command then cleans up and returns. */
  readonly signal: AbortSignal;
};

/** One row of the command table. */
export type Command = {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `help NAME` prints after the summary. */
  readonly usage: string;
  /** `args`: what follows the command's name. */
  readonly run: (args: readonly string[], context: CommandContext) => Promise<ExitCode>;
};

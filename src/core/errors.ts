import type { ExitName } from './exit-codes.ts';

/**
 * A failure that reaches the operator. `exit` names the row of the exit-code table; `hint` says
 * what to do about it. Decoders of a peer's bytes never throw these; they return a reason.
 */
export class IpipouError extends Error {
  readonly exit: ExitName;
  readonly hint: string | undefined;

  constructor(exit: ExitName, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = new.target.name;
    this.exit = exit;
    this.hint = options.hint;
  }
}

/** What to do about failures that mean the same whatever was being done. */
const HINTS: Readonly<Partial<Record<string, string>>> = {
  EMFILE: 'too many open files in this process: raise LimitNOFILE= of the unit, or ulimit -n',
  ENFILE: 'too many open files on this machine: raise fs.file-max (sysctl)',
};

/** What to do about an errno wherever it comes from; undefined where it depends. */
export function hintOfErrno(errno: string): string | undefined {
  return HINTS[errno];
}

/**
 * The kernel (or a library that speaks for it) refused something.
 * `operation` is a system call or netlink message ("RTM_NEWLINK"), `errno` its symbolic name
 * ("EEXIST"), `words` the kernel's own text (extended ack, nft's error buffer), `subject` what was
 * being configured ("link ipipou0").
 */
export class KernelError extends IpipouError {
  readonly operation: string;
  readonly errno: string;
  readonly words: string | undefined;
  readonly subject: string;

  constructor(
    exit: ExitName,
    failure: { operation: string; errno: string; words?: string | undefined; subject: string },
    options: { hint?: string; cause?: unknown } = {},
  ) {
    const words = failure.words ? `: ${failure.words}` : '';
    const hint = hintOfErrno(failure.errno) ?? options.hint;
    super(exit, `${failure.subject}: ${failure.operation}: ${failure.errno}${words}`, {
      ...options,
      ...(hint !== undefined && { hint }),
    });
    this.operation = failure.operation;
    this.errno = failure.errno;
    this.words = failure.words;
    this.subject = failure.subject;
  }
}

/**
 * Nobody answered a request to a daemon: it does not listen, or did not answer in time, or hung up.
 * `after`: milliseconds waited in vain; undefined when it did not come to that.
 */
export class NoAnswer extends IpipouError {
  readonly after: number | undefined;

  constructor(message: string, after: number | undefined, cause?: unknown) {
    super('generic', message, { cause });
    this.after = after;
  }
}

/** The same failure, filed under another exit code (an adapter knows errno, its caller the purpose). */
export function withExit(error: unknown, exit: ExitName, hint?: string): unknown {
  if (!(error instanceof KernelError)) return error;
  const options = hint ? { hint, cause: error } : { cause: error };
  return new KernelError(exit, error, options);
}

/** Settles as `promise` does, but that a failure of the kernel is filed under another exit code. */
export async function refile<T>(exit: ExitName, promise: Promise<T>, hint?: string): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw withExit(error, exit, hint);
  }
}

/** What was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** Where a value came from and why it is refused: all that a user needs to mend it. */
export type ConfigProblem = {
  /** Path of the file, or "command line". */
  readonly source: string;
  /** 1-based line in the file; undefined on the command line. */
  readonly line: number | undefined;
  readonly key: string;
  /** The offending value; undefined where none was given, "(hidden)" where it is a secret. */
  readonly value: string | undefined;
  /** What was expected, as a noun phrase: "a port from 1 to 65535". */
  readonly expected: string;
  /** `expected` is a whole sentence, where no other value would do. */
  readonly sentence?: true;
  /** There is no such option at all; `expected` is where to look, or what may have been meant. */
  readonly unknown?: true;
  /** Sound, but not supported by this version. */
  readonly unsupported?: true;
};

/**
 * Bad input: every problem found, not only the first; nothing was changed. Exit code 2, or that of what is not
 * implemented where nothing else is wrong.
 */
export class ConfigError extends IpipouError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const unsupported = problems.every((problem) => problem.unsupported === true);
    super(unsupported ? 'notImplemented' : 'arguments', problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}

/** `FILE:LINE: KEY: "VALUE": expected EXPECTED`, `FILE:LINE: unknown option KEY`, or `FILE:LINE: SENTENCE`. */
export function formatProblem(problem: ConfigProblem): string {
  const where = problem.line === undefined ? problem.source : `${problem.source}:${problem.line}`;
  if (problem.sentence === true) return `${where}: ${problem.expected}`;
  if (problem.unknown === true) {
    const place = problem.line === undefined ? '' : `${where}: `;
    return `${place}unknown option ${problem.key}: ${problem.expected}`;
  }
  const value = problem.value === undefined ? 'no value' : JSON.stringify(problem.value);
  return `${where}: ${problem.key}: ${value}: expected ${problem.expected}`;
}

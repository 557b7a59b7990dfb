import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { IpipouError } from '../../core/errors.ts';
import { millis, type Millis } from '../../core/units.ts';

/** What a finished program left. `code` is 128 + the signal's number for one that was killed. */
export type Finished = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  /** The program is killed and the call rejects after so long; default 30 s. */
  readonly timeout?: Millis;
  /** Text for its standard input; otherwise that is empty. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** `own`: a process group of its own, which signals then go to: a terminal's Ctrl-C does not reach it. */
  readonly group?: 'own';
};

export type SpawnOptions = Omit<RunOptions, 'timeout'>;

const DEFAULT_TIMEOUT = millis(30_000);
/** How long a program may take to end after SIGTERM before it is killed. */
const STOP_GRACE = millis(5_000);

/** A program that ran too long, ended early, or never said what was waited for; carries its output. */
export class ProgramError extends IpipouError {
  constructor(argv: readonly string[], what: string, output: string) {
    super('generic', `${argv.join(' ')}: ${what}${output === '' ? '' : `\n${output.trimEnd()}`}`);
  }
}

/** A running program whose output is collected. Disposing stops it. */
export class Program implements AsyncDisposable {
  readonly argv: readonly string[];
  /** Undefined when it could not be started. */
  readonly pid: number | undefined;
  /** Settles when the program has ended and its output is complete; rejects when it cannot be started. */
  readonly finished: Promise<Finished>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #watchers = new Set<() => void>();
  readonly #ownGroup: boolean;
  #stdout = '';
  #stderr = '';
  #ended = false;

  constructor(argv: readonly string[], options: SpawnOptions = {}) {
    const [file = '', ...args] = argv;
    this.argv = argv;
    this.#ownGroup = options.group === 'own';
    this.#child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      // What this machine's Node is to trust besides takes longer to read than all else of its start.
      env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined, ...options.env },
      detached: this.#ownGroup,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.pid = this.#child.pid;
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#wake();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    // A program that never reads its input closes the pipe: no failure of ours.
    this.#child.stdin.on('error', () => undefined);
    this.#child.stdin.end(options.input ?? '');
    this.finished = new Promise((resolve, reject) => {
      this.#child.once('error', ({ message }) =>
        reject(new ProgramError(argv, `cannot be started: ${message}`, '')),
      );
      this.#child.once('close', (code, signal) => {
        this.#ended = true;
        resolve({ code: exitCode(code, signal), stdout: this.#stdout, stderr: this.#stderr });
        this.#wake();
      });
    });
    // Whoever waits sees the failure; nobody has to.
    this.finished.catch(() => {
      this.#ended = true;
      this.#wake();
    });
  }

  get running(): boolean {
    return !this.#ended;
  }

  /** Everything printed so far, standard output first. */
  output(): string {
    return this.#stdout + this.#stderr;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /**
   * Resolves when the output (both streams, each from its beginning) matches; rejects with the
   * output when the program ends without that, or after `timeout`.
   */
  async waitFor(
    condition: RegExp | ((output: string) => boolean),
    timeout: Millis = DEFAULT_TIMEOUT,
  ): Promise<void> {
    const holds =
      condition instanceof RegExp
        ? () => condition.test(this.#stdout) || condition.test(this.#stderr)
        : () => condition(this.output());
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (error) reject(error);
        else resolve();
      };
      const fail = (what: string): void => settle(new ProgramError(this.argv, what, this.output()));
      const look = (): void => {
        if (holds()) settle();
        else if (this.#ended) fail(`ended without saying ${String(condition)}`);
      };
      const timer = setTimeout(
        () => fail(`did not say ${String(condition)} in ${timeout} ms`),
        timeout,
      );
      this.#watchers.add(look);
      look();
    });
  }

  /** Sends a signal; no effect once the program has ended. */
  signal(name: NodeJS.Signals): void {
    if (this.#ended) return;
    if (!this.#ownGroup || this.pid === undefined) this.#child.kill(name);
    else signalGroup(this.pid, name);
  }

  /** Asks the program to end, kills it after five seconds, and waits until it has. */
  async stop(name: NodeJS.Signals = 'SIGTERM'): Promise<Finished> {
    this.signal(name);
    const timer = setTimeout(() => this.signal('SIGKILL'), STOP_GRACE);
    try {
      return await this.finished;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until the program has ended by itself; kills it and rejects when that takes too long. */
  async end(timeout: Millis = DEFAULT_TIMEOUT): Promise<Finished> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.signal('SIGKILL');
    }, timeout);
    try {
      const finished = await this.finished;
      if (late) throw new ProgramError(this.argv, `no end in ${timeout} ms`, this.output());
      return finished;
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) await this.stop();
  }

  #wake(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

/** Runs a program to its end; rejects with a ProgramError when it takes too long. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { timeout, ...rest } = options;
  return new Program(argv, rest).end(timeout);
}

/** Runs a program that must succeed; rejects with what it said when it does not. */
export async function runChecked(argv: readonly string[], options?: RunOptions): Promise<Finished> {
  const finished = await run(argv, options);
  if (finished.code !== 0) {
    throw new ProgramError(
      argv,
      `exit code ${finished.code}`,
      `${finished.stdout}${finished.stderr}`,
    );
  }
  return finished;
}

function signalGroup(leader: number, name: NodeJS.Signals): void {
  try {
    process.kill(-leader, name);
  } catch {
    // It has ended, and its end is on its way here.
  }
}

function exitCode(code: number | null, signal: NodeJS.Signals | null): number {
  if (code !== null) return code;
  return 128 + (signal === null ? 0 : constants.signals[signal]);
}

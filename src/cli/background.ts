import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { EXIT, type ExitName } from '../core/exit-codes.ts';
import { IpipouError } from '../core/errors.ts';

/*
 * A daemon in the background is this program again, detached, with a pipe as descriptor 3: it writes
 * lines of JSON there, what it warns of, and one when it is ready or has failed, and closes it. The
 * environment names the descriptor and the log file. Arguments are a config's name or path, never secrets.
 */

const REPORT_VARIABLE = 'IPIPOU_REPORT_FD';
const LOG_VARIABLE = 'IPIPOU_LOG_FILE';
const REPORT_FD = 3;
/** Bytes that are read of a report, and that a daemon writes of warnings: less than a pipe holds. */
const REPORT_MAX = 64 * 1024;
const SAID_MAX = 32 * 1024;

type Line =
  | { readonly kind: 'said'; readonly text: string }
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'failed';
      readonly exit: ExitName;
      readonly message: string;
      readonly hint: string | undefined;
    };

/** How a process tells the one that started it in the background; undefined in the foreground. */
export type Reporter = {
  /** The file that its log goes to. */
  readonly logPath: string;
  /** A warning, each text once; until it is closed. */
  said(text: string): void;
  ready(): void;
  failed(error: unknown): void;
  /** After `ready`: nothing more is told. */
  close(): void;
};

export function reporterOf(
  env: Readonly<Record<string, string | undefined>>,
): Reporter | undefined {
  const logPath = env[LOG_VARIABLE];
  if (env[REPORT_VARIABLE] !== String(REPORT_FD) || logPath === undefined) return undefined;
  const told = new Set<string>();
  let room = SAID_MAX;
  let open = true;
  const close = (): void => {
    if (open) closeSync(REPORT_FD);
    open = false;
  };
  const tell = (line: Line): void => {
    if (!open) return;
    try {
      writeSync(REPORT_FD, `${JSON.stringify(line)}\n`);
    } catch {
      // Whoever started us did not wait.
      close();
    }
  };
  return {
    logPath,
    said(text) {
      room -= text.length;
      if (told.has(text) || room < 0) return;
      told.add(text);
      tell({ kind: 'said', text });
    },
    ready: () => tell({ kind: 'ready' }),
    failed(error) {
      const known = error instanceof IpipouError ? error : undefined;
      const message = error instanceof Error ? error.message : String(error);
      tell({ kind: 'failed', exit: known?.exit ?? 'generic', message, hint: known?.hint });
      close();
    },
    close,
  };
}

export type Background = {
  /** Arguments of this program. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where its log goes, and what Node itself says in a crash. */
  readonly logPath: string;
  /** Is told what the daemon warns of until it is ready, and shortly after. */
  readonly said: (text: string) => void;
  /** Aborted: the daemon is told to end. */
  readonly signal: AbortSignal;
};

/** Starts a daemon and waits until it is ready; its process number. Rejects as it failed. */
export async function startInBackground(options: Background): Promise<number> {
  const { logPath, signal } = options;
  const log = openSync(logPath, 'a', 0o600);
  const program = process.argv[1] ?? '';
  const child = spawn(process.execPath, [...process.execArgv, program, ...options.args], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', 'ignore', log, 'pipe'],
    env: {
      ...options.env,
      // Node reads these at every start, for longer than all else of it takes. No TLS is spoken here.
      NODE_EXTRA_CA_CERTS: undefined,
      ...{ [REPORT_VARIABLE]: String(REPORT_FD), [LOG_VARIABLE]: logPath },
    },
  });
  closeSync(log);
  const end = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  try {
    // Descriptor 3 was asked for as a pipe, which Node makes a stream.
    const last = await readReport(child.stdio[REPORT_FD] as Readable, options.said);
    if (last?.kind === 'ready' && child.pid !== undefined) return child.pid;
    if (last?.kind === 'failed') {
      const hint = last.hint === undefined ? {} : { hint: last.hint };
      throw new IpipouError(last.exit, last.message, hint);
    }
    throw new IpipouError('generic', 'the daemon ended before it was ready', {
      hint: `see ${logPath}`,
    });
  } finally {
    signal.removeEventListener('abort', end);
    child.unref();
  }
}

/** Passes on what is said; the line that tells how it went. */
async function readReport(
  stream: Readable,
  said: (text: string) => void,
): Promise<Line | undefined> {
  let result: Line | undefined;
  let rest = '';
  let room = REPORT_MAX;
  for await (const chunk of stream) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    room -= String(chunk).length;
    if (room < 0) return result;
    for (const line of lines.map(parseLine)) {
      if (line?.kind === 'said') said(line.text);
      // It may still fail shortly after it was ready.
      else if (line?.kind === 'failed' || result === undefined) result = line;
    }
  }
  return result;
}

function parseLine(text: string): Line | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('kind' in value)) return undefined;
  const { kind, text: said, exit, message, hint } = value as Readonly<Record<string, unknown>>;
  if (kind === 'said') return { kind, text: String(said) };
  if (kind === 'ready') return { kind };
  return {
    kind: 'failed',
    exit: isExitName(exit) ? exit : 'generic',
    message: String(message),
    hint: typeof hint === 'string' ? hint : undefined,
  };
}

function isExitName(value: unknown): value is ExitName {
  return typeof value === 'string' && Object.hasOwn(EXIT, value);
}

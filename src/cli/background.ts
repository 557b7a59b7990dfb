import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { EXIT, type ExitName } from '../core/exit-codes.ts';
import { IpipouError } from '../core/errors.ts';

/*
 * A daemon in the background is this program again, detached, with a pipe as descriptor 3: it
 * writes one line of JSON there when it is ready or has failed, and closes it. The environment
 * variable names the descriptor. Arguments are a config's name or path, never secrets.
 */

const REPORT_VARIABLE = 'IPIPOU_REPORT_FD';
const REPORT_FD = 3;
const REPORT_MAX = 64 * 1024;

type Report =
  | { readonly ready: true }
  | {
      readonly ready: false;
      readonly exit: ExitName;
      readonly message: string;
      readonly hint: string | undefined;
    };

/** How a process tells the one that started it in the background; undefined in the foreground. */
export type Reporter = { ready(): void; failed(error: unknown): void };

export function reporterOf(
  env: Readonly<Record<string, string | undefined>>,
): Reporter | undefined {
  if (env[REPORT_VARIABLE] !== String(REPORT_FD)) return undefined;
  let open = true;
  const tell = (report: Report): void => {
    if (!open) return;
    open = false;
    try {
      writeSync(REPORT_FD, `${JSON.stringify(report)}\n`);
      closeSync(REPORT_FD);
    } catch {
      // Whoever started us did not wait.
    }
  };
  return {
    ready: () => tell({ ready: true }),
    failed(error) {
      const known = error instanceof IpipouError ? error : undefined;
      const message = error instanceof Error ? error.message : String(error);
      tell({ ready: false, exit: known?.exit ?? 'generic', message, hint: known?.hint });
    },
  };
}

export type Background = {
  /** Arguments of this program. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where what Node itself says in a crash goes. */
  readonly logPath: string;
  /** Aborted: the daemon is told to end. */
  readonly signal: AbortSignal;
};

/** Starts a daemon and waits until it is ready; its process number. Rejects as it failed. */
export async function startInBackground(options: Background): Promise<number> {
  const log = openSync(options.logPath, 'a', 0o600);
  const program = process.argv[1] ?? '';
  const child = spawn(process.execPath, [...process.execArgv, program, ...options.args], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', 'ignore', log, 'pipe'],
    env: { ...options.env, [REPORT_VARIABLE]: String(REPORT_FD) },
  });
  closeSync(log);
  const end = (): void => void child.kill('SIGTERM');
  options.signal.addEventListener('abort', end, { once: true });
  try {
    // Descriptor 3 was asked for as a pipe, which Node makes a stream.
    const report = await readReport(child.stdio[REPORT_FD] as Readable);
    if (report?.ready === true && child.pid !== undefined) return child.pid;
    if (report?.ready === false) {
      const hint = report.hint === undefined ? {} : { hint: report.hint };
      throw new IpipouError(report.exit, report.message, hint);
    }
    throw new IpipouError('generic', 'the daemon ended before it was ready', {
      hint: `see ${options.logPath}`,
    });
  } finally {
    options.signal.removeEventListener('abort', end);
    child.unref();
  }
}

async function readReport(stream: Readable): Promise<Report | undefined> {
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.length > REPORT_MAX) return undefined;
  }
  return parseReport(text);
}

function parseReport(text: string): Report | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('ready' in value)) return undefined;
  if (value.ready === true) return { ready: true };
  const { exit, message, hint } = value as Readonly<Record<string, unknown>>;
  return {
    ready: false,
    exit: isExitName(exit) ? exit : 'generic',
    message: String(message),
    hint: typeof hint === 'string' ? hint : undefined,
  };
}

function isExitName(value: unknown): value is ExitName {
  return typeof value === 'string' && Object.hasOwn(EXIT, value);
}

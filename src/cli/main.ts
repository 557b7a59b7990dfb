#!/usr/bin/env node
import '../core/es2023.ts';
import { constants } from 'node:os';
import process from 'node:process';
import { writesToJournal } from '../adapters/system/log.ts';
import { EXIT } from '../core/exit-codes.ts';
import { runCli } from './cli.ts';
import type { CommandContext, ReloadSignal } from './command.ts';
import { COMMANDS } from './commands/table.ts';
import { programPath } from './program-path.ts';

/* The process: signals, streams and the exit code. The only caller of process.exit. */

/** Characters of standard input beyond which it is no key. */
const STDIN_MAX = 64 * 1024;

process.env['PATH'] = programPath(process.env['PATH']);

const end = new AbortController();
const hurry = new AbortController();
const reloads = new Set<(signal: ReloadSignal) => void>();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (end.signal.aborted) hurry.abort();
    end.abort(signal);
  });
}
for (const signal of ['SIGUSR1', 'SIGHUP'] as const) {
  process.on(signal, () => {
    for (const reload of reloads) reload(signal);
  });
}
// A tunnel that runs is left as it is, for a next run to take over: all that kill -9 does, but meant.
process.on('SIGQUIT', () => {
  if (reloads.size === 0) process.exit(128 + constants.signals.SIGQUIT);
  process.stderr.write('ipipou: SIGQUIT: what forwards is left as it is, for the next start\n');
  void import('../adapters/ffi/libc.ts').then(({ exitNow }) => exitNow(EXIT.ok));
});
// Signals that would end a process by default and mean nothing to this one.
for (const signal of ['SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGPROF', 'SIGIO', 'SIGPWR'] as const) {
  process.on(signal, () => undefined);
}
// A reader that went away (`ipipou show | head -1`) is no failure. Node destroys standard output for nobody: this is told by
// the error alone.
let isRead = true;
process.stdout.on('error', () => (isRead = false));
process.stderr.on('error', () => undefined);

// A fault of this program: the tunnel is taken down in order, and the exit code tells.
let faulty = false;
process.on('uncaughtException', (error) => {
  faulty = true;
  process.stderr.write(`ipipou: internal error: ${error.stack ?? error.message}\n`);
  if (end.signal.aborted) hurry.abort();
  end.abort('fault');
});

const inJournal = writesToJournal(process.env['JOURNAL_STREAM']);

const context: CommandContext = {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) =>
    // Words for a person are about what went wrong: priority 3 in systemd's journal (sd-daemon(3)).
    void process.stderr.write(inJournal ? text.replaceAll(/^(?=.)/gm, '<3>') : text),
  rows: () => (process.stdout.isTTY ? process.stdout.rows : undefined),
  flushed,
  env: process.env,
  signal: end.signal,
  hurry: hurry.signal,
  onReload(callback) {
    reloads.add(callback);
    return () => void reloads.delete(callback);
  },
  stdin: readStdin,
  commands: COMMANDS,
  async daemons() {
    const { openDaemons } = await import('./open-daemons.ts');
    return openDaemons(process.env);
  },
  async machine() {
    const { openMachine } = await import('./open-machine.ts');
    return openMachine(process.env);
  },
};

function flushed(): Promise<boolean> {
  const { stdout } = process;
  if (!isRead || !stdout.writableNeedDrain) return Promise.resolve(isRead);
  return new Promise((resolve) => {
    const settle = (): void => {
      for (const event of ['drain', 'error', 'close']) stdout.off(event, settle);
      resolve(isRead);
    };
    for (const event of ['drain', 'error', 'close']) stdout.on(event, settle);
  });
}

async function readStdin(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.length > STDIN_MAX) throw new Error('standard input is too long');
  }
  return text;
}

void main();

async function main(): Promise<void> {
  const result = await runCli(process.argv.slice(2), context);
  const code = faulty && result === EXIT.ok ? EXIT.generic : result;
  // A pipe takes as much as its reader leaves room for: the rest of a long answer goes out meanwhile.
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
  // An ordinary exit waits for the thread that resolves a name, which may take a minute where no
  // server answers.
  if (process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap')) {
    const { exitNow } = await import('../adapters/ffi/libc.ts');
    exitNow(code);
  }
  process.exit(code);
}

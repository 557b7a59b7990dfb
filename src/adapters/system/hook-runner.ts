import { spawn } from 'node:child_process';
import process from 'node:process';
import { asError } from '../../core/errors.ts';
import type { HookEnvironment } from '../../core/hooks.ts';
import type { Millis } from '../../core/units.ts';
import type { HookResult, HookRunner } from '../../ports/hooks.ts';

/** Bytes that are kept of what a command says. */
const SAID_MAX = 1000;
/** How long its last words are waited for, milliseconds: what it has started may have left its group, and hold the pipe. */
const LAST_WORDS = 1000;
/** What is passed on of this process's environment. */
const PASSED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ'] as const;

/** What ends the commands that run: with this process, however it comes to its end by itself. */
const running = new Set<() => void>();
process.on('exit', () => {
  for (const kill of running) kill();
});

/**
 * Commands by `sh -c`, in a process group of their own, which ends with them: after the time limit, and
 * whatever they have left running when they end.
 */
export const hookRunner: HookRunner = {
  async run(command, environment, limit) {
    try {
      return await ended(begin(command, environment), limit);
    } catch (error) {
      // What cannot be said to the kernel at all is not told as an event of the child.
      return { failure: asError(error).message, said: '' };
    }
  },
};

type Child = ReturnType<typeof begin>;

function begin(command: string, environment: HookEnvironment) {
  const inherited = PASSED.map((name) => [name, process.env[name]] as const);
  return spawn('/bin/sh', ['-c', command], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(inherited), ...environment },
  });
}

function ended(child: Child, limit: Millis): Promise<HookResult> {
  return new Promise((resolve) => {
    let said = '';
    let late = false;
    const hear = (chunk: Buffer): void => {
      said = (said + chunk.toString('utf8')).slice(-SAID_MAX);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const kill = (): void => killGroup(child.pid);
    running.add(kill);
    const timer = setTimeout(() => {
      late = true;
      kill();
    }, limit);
    const end = (failure: string | undefined): void => {
      clearTimeout(timer);
      running.delete(kill);
      kill();
      const finish = (): void => {
        clearTimeout(patience);
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ failure, said: said.trim() });
      };
      const patience = setTimeout(finish, LAST_WORDS);
      child.once('close', finish);
    };
    child.on('error', (error) => end(error.message));
    child.on('exit', (code, signal) => {
      if (late) end(`not done after ${limit / 1000} s: killed`);
      else if (signal !== null) end(`ended by ${signal}`);
      else end(code === 0 ? undefined : `exit code ${code}`);
    });
  });
}

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // The group is gone.
  }
}

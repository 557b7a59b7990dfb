import { resolve } from 'node:path';
import { healthOf } from '../app/management/health.ts';
import { surveyTunnels } from '../app/management/survey.ts';
import { IpipouError } from '../core/errors.ts';
import { EXIT, type ExitCode } from '../core/exit-codes.ts';
import { startInBackground } from './background.ts';
import type { CommandContext } from './command.ts';
import { configReferenceOf } from './config-path.ts';
import { loadConfig } from './load-config.ts';

/** Milliseconds to the second look, and between looks in the end: each time twice as long. */
const LOOK_FIRST = 20;
const LOOK_EVERY = 200;

/** Starts the tunnel that a word names in the background; its device, when it is ready. */
export async function startTunnel(word: string, context: CommandContext): Promise<string> {
  const reference = configReferenceOf(word);
  const { resolved } = await loadConfig(['--config', reference]);
  if (resolved.action !== 'run') {
    throw new IpipouError('arguments', `${word} does not describe a tunnel to run`);
  }
  const { device } = resolved.config.inner;
  const { runs, beginLogFile } = await context.daemons();
  const running = runs.find(device);
  if (running?.state !== undefined) {
    const { pid } = running.record.process;
    throw new IpipouError('generic', `${device} is already run by process ${pid}`, {
      hint: `ipipou show ${device}; ipipou down ${device}`,
    });
  }
  const logPath = beginLogFile(device);
  const pid = await startInBackground({
    args: ['run', '--config', reference.includes('/') ? resolve(reference) : reference],
    env: context.env,
    logPath,
    said: (line) => context.stderr(`${line.replace(/^warn /, 'warning: ')}\n`),
    signal: context.signal,
  });
  const plane = runs.find(device)?.record.plane;
  context.stdout(`${device} is up: process ${pid}, data plane ${plane}, log ${logPath}\n`);
  return device;
}

/** Looks until every peer is there, for so many seconds. */
export async function waitForPeers(
  device: string,
  wait: number,
  context: CommandContext,
): Promise<ExitCode> {
  const { stdout, stderr, signal } = context;
  const daemons = await context.daemons();
  const end = daemons.clock.now().monotonic + 1000 * wait;
  for (let pause = LOOK_FIRST; ; pause = Math.min(2 * pause, LOOK_EVERY)) {
    const entry = daemons.runs.find(device);
    const [tunnel] = entry ? await surveyTunnels([entry], daemons, () => 0) : [];
    if (tunnel === undefined) throw new IpipouError('generic', `${device} has ended`);
    const { exit, words } = healthOf(tunnel, true);
    if (exit === 'ok' || exit === 'troubled') {
      stdout(`${device}: ${words}\n`);
      return EXIT.ok;
    }
    if (signal.aborted || daemons.clock.now().monotonic >= end) {
      stderr(`${device} is up, but not all peers are there after ${wait} s: ${words}\n`);
      return EXIT[exit];
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

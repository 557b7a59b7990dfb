import { loadConfig, configReferenceOf } from '../load-config.ts';
import { resolve } from 'node:path';
import { IpipouError } from '../../core/errors.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import { healthOf } from '../../app/management/health.ts';
import { surveyTunnels } from '../../app/management/survey.ts';
import { parseDecimal } from '../../core/config/syntax.ts';
import { misuse, readGiven } from '../arguments.ts';
import { startInBackground } from '../background.ts';
import type { Command, CommandContext } from '../command.ts';
import type { Machine } from '../machine.ts';

export const upCommand: Command = {
  name: 'up',
  summary: 'start a tunnel in the background',
  usage: `ipipou up NAME|FILE [--wait SECONDS]

Starts the tunnel of /etc/ipipou/NAME.conf, or of a config file (a word with a slash, or FILE.conf
in this folder), and returns when it is ready, or with its error and exit code; what the daemon
warns of meanwhile is printed. Its log goes to /var/log/ipipou/DEVICE.log (or below
IPIPOU_LOG_DIR), which stays after \`ipipou down\`; that of the run before is kept beside it.
With --wait it returns when every peer has proved itself, or after so long with exit code ${EXIT.notEstablished}
and what is wrong; the tunnel stays up.`,
  async run(args, context) {
    const shape = { valued: { wait: 'seconds' }, names: [1, 1] as const, what: 'a config' };
    const { names, values } = readGiven('up', args, shape);
    const [word = ''] = names;
    const wait = readWait(values.get('wait'));
    const reference = configReferenceOf(word);
    const { resolved } = await loadConfig(['--config', reference]);
    if (resolved.action !== 'run') {
      throw new IpipouError('arguments', `${word} does not describe a tunnel to run`);
    }
    const { device } = resolved.config.inner;
    const machine = await context.machine();
    const { runs, beginLogFile } = machine;
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
    return wait === undefined ? EXIT.ok : waitForPeers(device, wait, machine, context);
  },
};

/** Longest wait, seconds; and how often to look, milliseconds. */
const WAIT_MAX = 3600;
const LOOK_EVERY = 200;

function readWait(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = parseDecimal(text, 1, WAIT_MAX);
  if (value === undefined) throw misuse('up', `--wait takes 1 to ${WAIT_MAX} seconds`);
  return value;
}

/** Looks until every peer is there, for so many seconds. */
async function waitForPeers(
  device: string,
  wait: number,
  machine: Machine,
  { stdout, stderr, signal }: CommandContext,
): Promise<ExitCode> {
  const end = machine.clock.now().monotonic + 1000 * wait;
  for (;;) {
    const entry = machine.runs.find(device);
    const [tunnel] = entry ? await surveyTunnels([entry], machine, () => 0) : [];
    if (tunnel === undefined) throw new IpipouError('generic', `${device} has ended`);
    const { exit, words } = healthOf(tunnel, true);
    if (exit === 'ok' || exit === 'troubled') {
      stdout(`${device}: ${words}\n`);
      return EXIT.ok;
    }
    if (signal.aborted || machine.clock.now().monotonic >= end) {
      stderr(`${device} is up, but not all peers are there after ${wait} s: ${words}\n`);
      return EXIT[exit];
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
}

import { loadConfig, configReferenceOf } from '../load-config.ts';
import { resolve } from 'node:path';
import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import { startInBackground } from '../background.ts';
import type { Command } from '../command.ts';

export const upCommand: Command = {
  name: 'up',
  summary: 'start a tunnel in the background',
  usage: `ipipou up NAME|FILE

Starts the tunnel of /etc/ipipou/NAME.conf, or of a config file (a word with a slash, or FILE.conf
in this folder), and returns when it is ready, or with its error and exit code; what the daemon
warns of meanwhile is printed. Its log goes to /var/log/ipipou/DEVICE.log (or below
IPIPOU_LOG_DIR), which stays after \`ipipou down\`; that of the run before is kept beside it.`,
  async run(args, context) {
    const [word = ''] = readGiven('up', args, { names: [1, 1], what: 'a config' }).names;
    const reference = configReferenceOf(word);
    const { resolved } = await loadConfig(['--config', reference]);
    if (resolved.action !== 'run') {
      throw new IpipouError('arguments', `${word} does not describe a tunnel to run`);
    }
    const { device } = resolved.config.inner;
    const { runs, beginLogFile } = await context.machine();
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
    return EXIT.ok;
  },
};

import { EXIT } from '../../core/exit-codes.ts';
import { parseDecimal } from '../../core/config/syntax.ts';
import { misuse, readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { startTunnel, waitForPeers } from '../start-tunnel.ts';
import { SUMMARIES } from './summaries.ts';

export const upCommand: Command = {
  name: 'up',
  summary: SUMMARIES.up,
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
    const device = await startTunnel(word, context);
    return wait === undefined ? EXIT.ok : waitForPeers(device, wait, context);
  },
};

/** Longest wait, seconds. */
const WAIT_MAX = 3600;

function readWait(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = parseDecimal(text, 1, WAIT_MAX);
  if (value === undefined) throw misuse('up', `--wait takes 1 to ${WAIT_MAX} seconds`);
  return value;
}

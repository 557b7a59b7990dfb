import { healthOf, VERDICTS, type Health } from '../../app/management/health.ts';
import { surveyTunnels } from '../../app/management/survey.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { findRuns, NO_TUNNELS } from '../find-run.ts';
import { SUMMARIES } from './summaries.ts';

/** The gravest first. */
const GRAVITY = [
  'generic',
  'notEstablished',
  'troubled',
  'ok',
] as const satisfies readonly Health['exit'][];

export const statusCommand: Command = {
  name: 'status',
  summary: SUMMARIES.status,
  usage: `ipipou status [NAME|FILE|DEVICE] [--every-peer]

For health checks. A client works when its server has proved itself; a server when it listens, and
with --every-peer when each of its peers is there. Exit code 0 when all tunnels work (without a
name: those of this network namespace), ${EXIT.notEstablished} when a peer that should be there is not, ${EXIT.troubled} when all
are but something is wrong, ${EXIT.generic} when a daemon does not answer or there is no tunnel.`,
  endsAtOnce: true,
  async run(args, context) {
    const shape = { flags: ['every-peer'], names: [0, 1] as const, what: 'a tunnel' };
    const { flags, names } = readGiven('status', args, shape);
    const daemons = await context.daemons();
    const [word] = names;
    const entries = findRuns(word, daemons.runs);
    const tunnels = await surveyTunnels(entries, daemons, () => 0);
    const found = tunnels.map((tunnel) => ({
      device: tunnel.device,
      ...healthOf(tunnel, flags.has('every-peer')),
    }));
    if (found.length === 0) {
      context.stderr(NO_TUNNELS);
      return EXIT.generic;
    }
    for (const { device, exit, words } of found) {
      context.stdout(`${device}: ${VERDICTS[exit]}: ${words}\n`);
    }
    const gravest = GRAVITY.find((exit) => found.some((health) => health.exit === exit));
    return EXIT[gravest ?? 'generic'];
  },
};

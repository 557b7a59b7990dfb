import { askDaemon } from '../../app/management/ask-daemon.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { warningsText } from '../changes-text.ts';
import type { Command } from '../command.ts';
import { findRun } from '../find-run.ts';
import { whileWorking } from '../waiting.ts';
import { SUMMARIES } from './summaries.ts';

const LATER = `Files are left as they are; \`ipipou save\` writes the change into the tunnel's own.`;

export const exposeCommand: Command = {
  name: 'expose',
  summary: SUMMARIES.expose,
  usage: `ipipou expose NAME|FILE|DEVICE PEER SERVICE …

Adds to what the peer exposes: tcp/443, tcp/2222:22, udp/27015-27030, tcp/8443:192.168.1.10:443,
198.51.100.7:tcp/443, all; behind each \`from PREFIXES\`, \`rate N\`, \`connections N\`, where it has them
(option expose). A service that is exposed already has these limits then.
${LATER}`,
  endsAtOnce: true,
  run: change('+'),
};

export const unexposeCommand: Command = {
  name: 'unexpose',
  summary: SUMMARIES.unexpose,
  usage: `ipipou unexpose NAME|FILE|DEVICE PEER SERVICE …

Takes services away from what the peer exposes, each as \`ipipou show\` calls it. Connections that are
open go on until they end.
${LATER}`,
  endsAtOnce: true,
  run: change('-'),
};

/** Both are the live change that `set` makes. */
function change(sign: '+' | '-'): Command['run'] {
  const [name, done] =
    sign === '+'
      ? ['expose', 'exposed; the client answers with `return-path tunnel` in its config']
      : ['unexpose', 'exposed no longer'];
  return async (args, context) => {
    const [tunnel, peer, ...words] = args;
    if (tunnel === undefined || peer === undefined || words.length === 0) {
      throw new IpipouError('arguments', `${name}: expected a tunnel, a peer, and services`, {
        hint: `ipipou help ${name}`,
      });
    }
    const daemons = await context.daemons();
    const entry = findRun(tunnel, daemons.runs);
    const services = words.join(' ');
    const options = [['expose', `${sign}${services}`]] as const;
    const asked = askDaemon(entry, daemons, { request: 'set-peer', peer, options });
    context.stderr(warningsText(await whileWorking(asked, context)));
    context.stdout(`${entry.device}: peer ${peer}: ${services} ${done}\n`);
    return EXIT.ok;
  };
}

import { adviseOn, type Advice } from '../../core/config/advice.ts';
import { DEFAULT_PEER } from '../../core/config/tunnel-config.ts';
import { ConfigError, IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { configReferenceOf } from '../config-path.ts';
import { loadConfig } from '../load-config.ts';
import { exitCodeOf, printable } from '../print-error.ts';
import { SUMMARIES } from './summaries.ts';

export const checkCommand: Command = {
  name: 'check',
  summary: SUMMARIES.check,
  usage: `ipipou check NAME|FILE

Reads a config as a start would, and changes nothing. Every fault is told, with its file, line,
option, value and what was expected instead; then what has no effect, and what is legal but unwise,
each with what to do. Exit code 0 when the config would be taken, 2 when not.`,
  endsAtOnce: true,
  async run(args, { stdout }) {
    const [word = ''] = readGiven('check', args, { names: [1, 1], what: 'a config' }).names;
    const say = (text: string): void => stdout(`${printable(text)}\n`);
    try {
      const { resolved, warnings } = await loadConfig(['--config', configReferenceOf(word)]);
      if (!('config' in resolved)) {
        throw new IpipouError('arguments', `${word} does not describe a tunnel to run`);
      }
      const { config } = resolved;
      const noted = [...warnings, ...resolved.warnings];
      for (const text of noted) say(`warning: ${text}`);
      const advice = adviseOn(config);
      for (const each of advice) {
        say(`unwise: ${whoOf(each)}${each.words}`);
        say(`        ${each.mend}`);
      }
      const peers = config.peers.length === 1 ? 'one peer' : `${config.peers.length} peers`;
      const clean = noted.length + advice.length === 0 ? ', nothing to say against it' : '';
      say(`${word}: a ${config.role} on ${config.inner.device}, ${peers}${clean}`);
      return EXIT.ok;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const line of error.message.split('\n')) say(line);
      const count = error.problems.length;
      say(`${word}: ${count === 1 ? 'one fault' : `${count} faults`}`);
      return exitCodeOf(error);
    }
  },
};

function whoOf({ who, others }: Advice): string {
  if (who === undefined || (who === DEFAULT_PEER && others === 0)) return '';
  return others === 0 ? `peer ${who}: ` : `peer ${who} and ${others} more: `;
}

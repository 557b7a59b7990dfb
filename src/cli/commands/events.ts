import { escapeText, formatFields } from '../../adapters/system/log.ts';
import { eventJson } from '../../app/management/json.ts';
import { NoAnswer } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import type { FeedLine, ToldEvent } from '../../ports/control.ts';
import type { RunEntry } from '../../ports/run-store.ts';
import { readGiven } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import { findRuns, NO_TUNNELS } from '../find-run.ts';
import type { Daemons } from '../machine.ts';
import { SUMMARIES } from './summaries.ts';

export const eventsCommand: Command = {
  name: 'events',
  summary: SUMMARIES.events,
  usage: `ipipou events [NAME|FILE|DEVICE] [--debug] [--json]

What happens from now on, a line each, until interrupted: who connected, moved, fell silent, was
refused and why. --debug: also what is only of use when looking for a fault. With --json all of it,
as docs/JSON.md describes. Exit code 0 when interrupted, 1 when the last daemon has ended.`,
  async run(args, context) {
    const shape = { flags: ['debug', 'json'], names: [0, 1] as const, what: 'a tunnel' };
    const { flags, names } = readGiven('events', args, shape);
    const daemons = await context.daemons();
    const [word] = names;
    const entries = findRuns(word, daemons.runs);
    if (entries.length === 0) {
      context.stderr(NO_TUNNELS);
      return EXIT.generic;
    }
    const print = flags.has('json') ? jsonOf : textFor(flags.has('debug'));
    await Promise.all(entries.map((entry) => followOne(entry, daemons, print, context)));
    return context.signal.aborted ? EXIT.ok : EXIT.generic;
  },
};

type Print = (device: string, line: FeedLine) => string;

async function followOne(
  { device, controlPath }: RunEntry,
  { control }: Daemons,
  print: Print,
  { stdout, stderr, signal }: CommandContext,
): Promise<void> {
  try {
    for await (const line of control.follow(controlPath, signal)) stdout(print(device, line));
    if (!signal.aborted) stderr(`${device}: its daemon has ended\n`);
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    stderr(`${device}: its daemon does not tell: ${error.message}\n`);
  }
}

function jsonOf(device: string, line: FeedLine): string {
  return eventJson(device, line, ({ words, fields }) => words + formatFields(fields));
}

function textFor(debug: boolean): Print {
  return (device, line) => {
    if ('lost' in line) return `${device}: ${line.lost} events were not told: too slow a reader\n`;
    const { told } = line;
    return told.level === 'debug' && !debug ? '' : textOf(device, told);
  };
}

/** `12:00:00 ipipou0 laptop: established remote=…`, in local time. */
function textOf(device: string, { at, peer, level, words, fields }: ToldEvent): string {
  const time = new Date(at).toTimeString().slice(0, 8);
  const who = peer === undefined ? device : `${device} ${peer}`;
  const loud = level === 'warn' || level === 'error' ? `${level}: ` : '';
  return `${time} ${who}: ${loud}${escapeText(words)}${formatFields(fields)}\n`;
}

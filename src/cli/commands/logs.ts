import { existsSync } from 'node:fs';
import { readJournal, readLogFile } from '../../adapters/system/log-reader.ts';
import { parseDecimal } from '../../core/config/syntax.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { misuse, readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { findRun } from '../find-run.ts';
import type { Daemons } from '../machine.ts';
import { configReferenceOf } from '../config-path.ts';
import { loadConfig } from '../load-config.ts';
import { SUMMARIES } from './summaries.ts';

const LINES = 50;
const LINES_MAX = 1_000_000;

export const logsCommand: Command = {
  name: 'logs',
  summary: SUMMARIES.logs,
  usage: `ipipou logs NAME|FILE|DEVICE [-f] [-n LINES]

The last lines (${LINES}) of the log of a tunnel: of its file, also after \`ipipou down\`, or of systemd's
journal. -f: and what is added, until interrupted.`,
  async run(args, context) {
    const shape = { flags: ['f'], valued: { n: 'a number of lines' }, names: [1, 1] as const };
    const { flags, values, names } = readGiven('logs', args, { ...shape, what: 'a tunnel' });
    const lines = parseDecimal(values.get('n') ?? String(LINES), 1, LINES_MAX);
    if (lines === undefined) throw misuse('logs', `-n takes a number from 1 to ${LINES_MAX}`);
    const daemons = await context.daemons();
    const place = await placeOf(names[0] ?? '', daemons);
    const reading = {
      lines,
      follow: flags.has('f'),
      write: context.stdout,
      signal: context.signal,
    };
    if (typeof place === 'string') await readLogFile(place, reading);
    else await tellJournal(place.pid, reading);
    return EXIT.ok;
  },
};

async function tellJournal(pid: number, reading: Parameters<typeof readJournal>[1]): Promise<void> {
  const code = await readJournal(pid, reading);
  if (code === 0) return;
  throw new IpipouError('generic', `journalctl ${code === undefined ? 'is not there' : 'failed'}`, {
    hint: `journalctl _PID=${pid}`,
  });
}

/** The file of its log, or the process whose lines are in the journal. */
async function placeOf(word: string, daemons: Daemons): Promise<string | { readonly pid: number }> {
  const { log, pid, device } = await whereabouts(word, daemons);
  if (log === 'journal' && pid !== undefined) return { pid };
  if (log !== 'stderr' && existsSync(log)) return log;
  throw new IpipouError('generic', `${device} has no log here`, {
    hint:
      log === 'stderr'
        ? 'its daemon runs in the foreground and writes to its standard error'
        : `there is no ${log}`,
  });
}

type Whereabouts = {
  readonly log: string;
  readonly pid: number | undefined;
  readonly device: string;
};

/** Of a tunnel that is there by its record; else where the last run in the background has left its log. */
async function whereabouts(word: string, { runs, logFileOf }: Daemons): Promise<Whereabouts> {
  try {
    const { device, record } = findRun(word, runs);
    return { log: record.log, pid: record.process.pid, device };
  } catch (error) {
    const plain = logFileOf(word);
    if (existsSync(plain)) return { log: plain, pid: undefined, device: word };
    const device = await deviceOf(word);
    if (device === undefined) throw error;
    return { log: logFileOf(device), pid: undefined, device };
  }
}

/** The device of a config that can be read; undefined where the word names none. */
async function deviceOf(word: string): Promise<string | undefined> {
  try {
    const { resolved } = await loadConfig(['--config', configReferenceOf(word)]);
    return 'config' in resolved ? resolved.config.inner.device : undefined;
  } catch {
    return undefined;
  }
}

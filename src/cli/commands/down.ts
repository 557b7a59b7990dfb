import { setTimeout as delay } from 'node:timers/promises';
import { createLog } from '../../adapters/system/log.ts';
import { IpipouError } from '../../core/errors.ts';
import { otherReaches } from '../../app/other-reaches.ts';
import type { TunnelEvent } from '../../core/events/event.ts';
import { wordsOf } from '../../core/events/words.ts';
import { EXIT } from '../../core/exit-codes.ts';
import type { PlaneJournal } from '../../ports/data-plane.ts';
import type { ProcessId, RunEntry, RunList } from '../../ports/run-store.ts';
import { readGiven } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import { findRun } from '../find-run.ts';
import type { Machine } from '../machine.ts';
import { SUMMARIES } from './summaries.ts';

/** How long a daemon may take to end, and how often it is looked at, in milliseconds. */
const END_TIMEOUT = 90_000;
const LOOK_EVERY = 20;

export const downCommand: Command = {
  name: 'down',
  summary: SUMMARIES.down,
  usage: `ipipou down NAME|FILE|DEVICE

Ends the daemon of the tunnel and waits until everything it made is gone. When the daemon is dead,
removes what it left.`,
  endsAtOnce: true,
  async run(args, context) {
    const [word = ''] = readGiven('down', args, { names: [1, 1], what: 'a tunnel' }).names;
    const machine = await context.machine();
    const entry = findRun(word, machine.runs);
    if (entry.state !== undefined) await endDaemon(entry, machine);
    if (machine.runs.find(entry.device)) {
      context.stderr(`cleaning up what process ${entry.record.process.pid} left\n`);
      await cleanUp(entry, machine, context);
    }
    context.stdout(`${entry.device} is down\n`);
    return EXIT.ok;
  },
};

async function endDaemon({ device, record }: RunEntry, machine: Machine): Promise<void> {
  const { pid } = record.process;
  machine.signalProcess(pid, 'SIGTERM');
  // One that is stopped would not hear it.
  machine.signalProcess(pid, 'SIGCONT');
  if (await hasEnded(record.process, machine.runs)) return;
  throw new IpipouError(
    'cleanUp',
    `${device}: process ${pid} has not ended within ${END_TIMEOUT / 1000} s`,
    {
      hint: `kill -9 ${pid}; ipipou down ${device}`,
    },
  );
}

async function hasEnded(process: ProcessId, runs: RunList): Promise<boolean> {
  const deadline = Date.now() + END_TIMEOUT;
  while (runs.stateOf(process) !== undefined) {
    if (Date.now() > deadline) return false;
    await delay(LOOK_EVERY);
  }
  return true;
}

async function cleanUp(entry: RunEntry, machine: Machine, context: CommandContext): Promise<void> {
  const claim = machine.runs.claim(entry.device);
  const { record } = entry;
  const log = createLog(context.stderr, { level: 'info', time: false, pid: false });
  try {
    const { config } = record;
    const tell = (event: TunnelEvent): void => {
      const { level, words, fields } = wordsOf(event);
      log(level, words, fields);
    };
    await machine.reach.clean({
      ...{ config, tell },
      journal: held(record.reach),
      others: () => otherReaches(machine.runs, entry.device),
    });
    const factory = machine.planes.find(({ name }) => name === record.plane);
    await factory?.clean({ config, journal: held(record.journal), log });
  } catch (error) {
    claim.release('keep');
    const message = error instanceof Error ? error.message : String(error);
    const hint = error instanceof IpipouError && error.hint ? { hint: error.hint } : {};
    throw new IpipouError('cleanUp', message, { ...hint, cause: error });
  }
  claim.release('remove');
}

/** What a dead run has noted; what is saved to it is not kept. */
function held(noted: unknown): PlaneJournal {
  let journal = noted;
  return {
    load: () => journal,
    save(next) {
      journal = next;
    },
  };
}

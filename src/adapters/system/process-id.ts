import { readFileSync } from 'node:fs';
import { IpipouError } from '../../core/errors.ts';
import type { ProcessId, ProcessState } from '../../ports/run-store.ts';

type Stat = { readonly state: ProcessState; readonly startTime: string };

/** A living process by /proc/PID/stat (proc(5)); undefined for none, or a zombie. */
function statOf(pid: number): Stat | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // Field 2 is the name in parentheses and may hold anything; fields are counted after the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  const startTime = fields[19];
  if (state === undefined || startTime === undefined || state === 'Z' || state === 'X')
    return undefined;
  return { state, startTime };
}

/** This process. */
export function ownProcess(): ProcessId {
  const own = statOf(process.pid);
  if (own === undefined) {
    throw new IpipouError('generic', 'cannot read /proc/self/stat', { hint: 'mount /proc' });
  }
  return { pid: process.pid, startTime: own.startTime };
}

/** Undefined when this very process lives no more. */
export function processState({ pid, startTime }: ProcessId): ProcessState | undefined {
  const stat = statOf(pid);
  return stat?.startTime === startTime ? stat.state : undefined;
}

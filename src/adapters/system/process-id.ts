import { readFileSync } from 'node:fs';
import { IpipouError } from '../../core/errors.ts';
import type { ProcessId } from '../../ports/run-store.ts';

/** Start time of a living process out of /proc/PID/stat (proc(5)); undefined for none, or a zombie. */
function startTimeOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // Field 2 is the name in parentheses and may hold anything; fields are counted after the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  return state === 'Z' || state === 'X' ? undefined : fields[19];
}

/** This process. */
export function ownProcess(): ProcessId {
  const startTime = startTimeOf(process.pid);
  if (startTime === undefined) {
    throw new IpipouError('generic', 'cannot read /proc/self/stat', { hint: 'mount /proc' });
  }
  return { pid: process.pid, startTime };
}

/** Whether this very process still lives. */
export function isAlive(id: ProcessId): boolean {
  return startTimeOf(id.pid) === id.startTime;
}

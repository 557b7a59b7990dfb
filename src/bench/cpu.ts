import { readFile, readdir } from 'node:fs/promises';
import type { Program } from '../adapters/lab/process.ts';

/** Ticks a second of /proc/stat and /proc/PID/stat: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS = 100;

/** Seconds that the processors of this machine were busy since it started, all together. */
export async function busySeconds(): Promise<number> {
  return parseBusy(await readFile('/proc/stat', 'utf8'));
}

/** The first line of /proc/stat (proc(5)): user nice system idle iowait irq softirq steal … */
export function parseBusy(text: string): number {
  const fields = /^cpu +([0-9 ]+)/.exec(text)?.[1]?.split(' ').map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields;
  return (user + nice + system + irq + softirq) / TICKS;
}

/** Seconds that programs and their descendants have used so far; 0 for those that have ended. */
export async function programSeconds(programs: readonly Program[]): Promise<number> {
  if (programs.length === 0) return 0;
  const names = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name));
  const all = await Promise.all(
    names.map(async (name) => {
      // A process may end meanwhile.
      const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
      return { pid: Number(name), ...parseProgram(text) };
    }),
  );
  const family = new Set(programs.map(({ pid }) => pid));
  for (let size = 0; size !== family.size;) {
    size = family.size;
    for (const { pid, parent } of all) if (family.has(parent)) family.add(pid);
  }
  return all.reduce((sum, { pid, seconds }) => (family.has(pid) ? sum + seconds : sum), 0);
}

/** /proc/PID/stat (proc(5)): ppid, utime and stime, fields 4, 14 and 15; the name before may hold blanks. */
export function parseProgram(text: string): {
  readonly parent: number;
  readonly seconds: number;
} {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [parent = 0, user = 0, system = 0] = [1, 11, 12].map((at) => Number(fields[at] ?? 0));
  return { parent, seconds: (user + system) / TICKS };
}

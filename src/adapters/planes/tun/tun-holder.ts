import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * Who holds the TUN device `name`, for an error message: the processes that have it open (their
 * `/proc/PID/fdinfo` has a line `iff:`), as far as this user may see. The path may begin elsewhere, where
 * that process has another root.
 */
export function describeHolder(name: string): string {
  const holders = processes().filter((pid) => holds(pid, name));
  return holders.length === 0
    ? 'a device of that name exists, and no process that can be seen holds it'
    : `held by ${holders.map(describeProcess).join(', ')}`;
}

function processes(): readonly string[] {
  return readdirSync('/proc').filter((entry) => /^[0-9]+$/.test(entry));
}

function holds(pid: string, name: string): boolean {
  return list(`/proc/${pid}/fd`).some(
    (fd) =>
      attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`))?.endsWith('/net/tun') === true &&
      attempt(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))
        ?.split('\n')
        .some((line) => line.startsWith('iff:') && line.slice(4).trim() === name),
  );
}

function describeProcess(pid: string): string {
  const command = attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8'))?.trim();
  return command === undefined ? `process ${pid}` : `process ${pid} (${command})`;
}

function list(directory: string): readonly string[] {
  return attempt(() => readdirSync(directory)) ?? [];
}

/** The value, or undefined where the process is gone or not ours to look at. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

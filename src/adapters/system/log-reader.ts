import { spawn } from 'node:child_process';
import { open, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** How often a file that is followed is looked at, milliseconds. */
const LOOK_EVERY = 250;
/** Bytes from the end of a file in which its last lines are looked for. */
const TAIL_MAX = 1024 * 1024;

type Reading = {
  /** How many of the last lines. */
  readonly lines: number;
  readonly follow: boolean;
  readonly write: (text: string) => void;
  readonly signal: AbortSignal;
};

/** Writes the end of a log file, and what is added to it, also when a new file has taken its place. */
export async function readLogFile(path: string, options: Reading): Promise<void> {
  const { lines, follow, write, signal } = options;
  let { ino, size } = await stat(path);
  const from = Math.max(0, size - TAIL_MAX);
  const tail = await readFrom(path, from, size);
  write(lastLines(tail, lines));
  if (!follow) return;
  while (!signal.aborted) {
    await delay(LOOK_EVERY, undefined, { signal }).catch(() => undefined);
    const now = await stat(path).catch(() => undefined);
    if (now === undefined) continue;
    if (now.ino !== ino || now.size < size) size = 0;
    if (now.size > size) write(await readFrom(path, size, now.size));
    ({ ino, size } = now);
  }
}

async function readFrom(path: string, from: number, to: number): Promise<string> {
  const file = await open(path);
  try {
    const bytes = Buffer.alloc(to - from);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
    return bytes.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function lastLines(text: string, count: number): string {
  const lines = text.split('\n');
  // A file ends with a line break.
  return lines.slice(-count - 1).join('\n');
}

/** The same of a process's lines in systemd's journal, by journalctl(1); its exit code, undefined when there is none. */
export function readJournal(
  pid: number,
  { lines, follow, signal }: Reading,
): Promise<number | undefined> {
  const args = [`_PID=${pid}`, '-n', String(lines), '--no-pager', '-o', 'cat'];
  const child = spawn('journalctl', follow ? [...args, '-f'] : args, { stdio: 'inherit', signal });
  return new Promise((resolve) => {
    child.on('error', () => resolve(signal.aborted ? 0 : undefined));
    child.on('exit', (code) => resolve(code ?? 0));
  });
}

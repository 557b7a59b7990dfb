import { readdir, readlink, stat } from 'node:fs/promises';
import { IpipouError } from '../../core/errors.ts';
import { millis } from '../../core/units.ts';
import { run, runChecked } from './process.ts';

const NETNS_FOLDER = '/run/netns';

/** Names of this machine's network namespaces. */
export async function listNamespaces(): Promise<readonly string[]> {
  // Without the folder nobody has made any.
  return readdir(NETNS_FOLDER).catch(() => []);
}

/** Removes the namespaces of labs whose process no longer lives; returns their names. */
export async function removeStale(): Promise<readonly string[]> {
  const names = await listNamespaces();
  const stale = names.filter((name) => {
    const owner = /^ipipou-([0-9]+)-[0-9]+-(srv|nat|c[0-9]+)$/.exec(name)?.[1];
    return owner !== undefined && !alive(Number(owner));
  });
  if (stale.length > 0) await removeNamespaces(stale);
  return stale;
}

/** Kills what runs in these namespaces and removes them; those that are gone already do no harm. */
export async function removeNamespaces(names: readonly string[]): Promise<void> {
  const present = new Set(await listNamespaces());
  const doomed = names.filter((name) => present.has(name));
  if (doomed.length === 0) return;
  for (const pid of await processesIn(doomed)) kill(pid);
  const batch = doomed.map((name) => `netns del ${name}\n`).join('');
  // Another run may remove the same stale one: what counts is what is left.
  // In a group of its own: a second Ctrl-C must not end it halfway.
  const said = await run(['ip', '-force', '-batch', '-'], { input: batch, group: 'own' });
  const left = new Set(await listNamespaces());
  const stuck = doomed.filter((name) => left.has(name));
  if (stuck.length > 0) {
    throw new IpipouError('cleanUp', `namespaces ${stuck.join(', ')} stay: ${said.stderr.trim()}`);
  }
}

/** Processes whose network namespace is one of these. */
async function processesIn(namespaces: readonly string[]): Promise<readonly number[]> {
  const inodes = new Set(
    await Promise.all(
      namespaces.map(async (name) =>
        stat(`${NETNS_FOLDER}/${name}`).then(
          (found) => `net:[${found.ino}]`,
          () => '',
        ),
      ),
    ),
  );
  const pids = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name)).map(Number);
  const links = await Promise.all(
    pids.map(async (pid) => readlink(`/proc/${pid}/ns/net`).catch(() => undefined)),
  );
  return pids.filter((pid, index) => pid !== process.pid && inodes.has(links[index] ?? 'none'));
}

/** The argument vector that runs a program in a namespace. */
export function inside(namespace: string, argv: readonly string[]): readonly string[] {
  return ['ip', 'netns', 'exec', namespace, ...argv];
}

/** Runs lines of `ip` commands in one process, in a namespace or (undefined) this one. */
export async function ipBatch(
  namespace: string | undefined,
  lines: readonly string[],
): Promise<void> {
  const where = namespace === undefined ? [] : ['-n', namespace];
  await runChecked(['ip', ...where, '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
    timeout: millis(60_000),
  });
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

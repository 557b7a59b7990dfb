// Debian's own Node, as `apt install nodejs` would have it on this release, beside whichever Node runs this: what is
// built is tried with it. Downloaded by apt and unpacked into .cache, not installed.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { capture, downloadPackages, updateLists } from './apt.mjs';

const NAME = 'node';

/**
 * The folder of Debian's Node below `cache`, made when it is not there:
 *
 *   CACHE/VERSION/root/        the packages that this machine lacks, unpacked
 *                 packages     their paragraphs of dpkg's status file
 *                 node         runs it: `root` lies over /usr for that one process
 */
export function debianNode(cache) {
  const known = existsSync(cache) ? readdirSync(cache).filter((name) => /^\d/.test(name)) : [];
  const version = ownVersion() ?? (known.length > 0 ? undefined : ownVersion({ fresh: true }));
  if (version === undefined && known.length === 0) throw new Error('apt knows no nodejs of Debian');
  const home = path.join(cache, version ?? known.toSorted().at(-1));
  try {
    if (!existsSync(home)) fetchInto(home, version);
    return home;
  } catch (error) {
    // Without a network an older one will do.
    if (known.length === 0) throw error;
    return path.join(cache, known.toSorted().at(-1));
  }
}

/** Debian's nodejs is a small package before a library; what others publish under that name is one piece. */
export function ownVersion({ fresh = false } = {}) {
  if (fresh) updateLists();
  const shown = spawnSync('apt-cache', ['show', 'nodejs'], { encoding: 'utf8' }).stdout ?? '';
  const own = shown.split('\n\n').find((text) => /^Depends:.*\blibnode\d+ \(= /m.test(text));
  return own && /^Version: (\S+)$/m.exec(own)?.[1];
}

function fetchInto(home, version) {
  const work = `${home}.${process.pid}`.replace(/[^/]*$/, (name) => `.${name}`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(path.join(work, 'debs'), { recursive: true });
  try {
    const packages = missing(version);
    if (packages.length > 0) downloadPackages(packages, path.join(work, 'debs'));
    const root = path.join(work, 'root');
    mkdirSync(path.join(root, 'usr'), { recursive: true });
    const paragraphs = readdirSync(path.join(work, 'debs')).map((name) => {
      const deb = path.join(work, 'debs', name);
      capture('dpkg-deb', ['-x', deb, root]);
      return `${capture('dpkg-deb', ['-f', deb]).trimEnd()}\nStatus: install ok installed\n`;
    });
    writeFileSync(path.join(work, 'packages'), paragraphs.join('\n'));
    writeFileSync(path.join(work, NAME), LAUNCHER);
    chmodSync(path.join(work, NAME), 0o755);
    rmSync(path.join(work, 'debs'), { recursive: true });
    renameSync(work, home);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What apt would install for it here: NAME=VERSION. */
function missing(version) {
  const options = ['--simulate', '--no-install-recommends', '--allow-downgrades'];
  const said = capture('apt-get', ['install', ...options, `nodejs=${version}`]);
  // Inst NAME [the version that is here] (VERSION ARCHIVE …
  const lines = [...said.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+) /gm)];
  return lines.map(([, name, its]) => `${name}=${its}`);
}

/** Finds `root` beside itself, wherever the cache was moved to. */
const LAUNCHER = `#!/bin/sh
home=$(dirname "$(readlink -f "$0")")
exec unshare --mount -- sh -c 'cd "$1/root/usr" && shift && mount -t overlay overlay -o lowerdir=.:/usr /usr \
  && cd "$OLDPWD" && exec /usr/bin/node "$@"' sh "$home" "$@"
`;

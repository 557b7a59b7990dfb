// systemd-resolved as Debian has it: downloaded by apt and unpacked into .cache, not installed, since installing it takes
// /etc/resolv.conf over.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { capture, downloadPackages } from './apt.mjs';

/** Makes `home`, the tree of its package and of the library that has its version, when it is not there. */
export function debianResolved(home) {
  if (existsSync(home)) return;
  const work = path.join(path.dirname(home), `.resolved.${process.pid}`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(path.join(work, 'root'), { recursive: true });
  try {
    downloadPackages(['systemd-resolved', 'libsystemd-shared'], work);
    for (const name of readdirSync(work).filter((file) => file.endsWith('.deb'))) {
      capture('dpkg-deb', ['-x', name, 'root'], work);
    }
    renameSync(path.join(work, 'root'), home);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

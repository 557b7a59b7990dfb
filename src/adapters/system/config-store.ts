import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { IpipouError } from '../../core/errors.ts';
import type { ConfigStore } from '../../ports/config-store.ts';
import { fileError, isErrno, isSameFile, makePrivateFolder, syncFolder } from './files.ts';
import { tryLock } from './lock.ts';

/** How often, and how many milliseconds apart, a file that somebody else changes is tried. */
const LOCK_TRIES = 100;
const LOCK_PAUSE = 50;

export const configStore: ConfigStore = {
  async change(path, change) {
    try {
      // A link stays one: what it leads to is replaced.
      const real = realpathSync(path);
      const fd = await openLocked(real);
      try {
        replaceLocked(fd, real, change);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      throw fileError(error, `cannot change ${path}`);
    }
  },
};

/** Opens a file with its lock, which is that of the name only while the name leads to it. */
async function openLocked(path: string): Promise<number> {
  for (let tries = 0; tries < LOCK_TRIES; tries += 1) {
    const fd = openSync(path, 'r');
    if (tryLock(fd) && isSameFile(fd, path)) return fd;
    closeSync(fd);
    await pause(LOCK_PAUSE);
  }
  throw new IpipouError('generic', `${path} is being changed by another process`);
}

function replaceLocked(fd: number, path: string, change: (text: string) => string): void {
  const before = fstatSync(fd);
  const text = readFileSync(fd, 'utf8');
  const changed = change(text);
  if (changed === text) return;
  const temporary = `${path}.new`;
  try {
    writeLike(temporary, changed, before);
    if (!isUnchanged(before, statSync(path))) {
      throw new IpipouError('generic', `${path} was changed by somebody else just now`);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

/** A file with the mode and owner of another one, whole on the disk. */
function writeLike(path: string, text: string, { mode, uid, gid }: Stats): void {
  rmSync(path, { force: true });
  const fd = openSync(path, 'wx', 0o600);
  try {
    const own = fstatSync(fd);
    if (own.uid !== uid || own.gid !== gid) fchownSync(fd, uid, gid);
    fchmodSync(fd, mode & 0o7777);
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function isUnchanged(before: Stats, { ino, size, mtimeMs }: Stats): boolean {
  return before.ino === ino && before.size === size && before.mtimeMs === mtimeMs;
}

/** Makes a config file that only its owner can read, in a folder that is made if need be; never over one that is there. */
export function writeNewConfig(path: string, text: string): void {
  try {
    makePrivateFolder(dirname(path));
    const fd = openSync(path, 'wx', 0o600);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    syncFolder(dirname(path));
  } catch (error) {
    if (isErrno(error, 'EEXIST')) {
      throw new IpipouError('generic', `${path} is there already, and is left as it is`, {
        hint: 'choose another name, or move the file away first',
        cause: error,
      });
    }
    throw fileError(error, `cannot write ${path}`);
  }
}

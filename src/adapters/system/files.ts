import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { IpipouError } from '../../core/errors.ts';

/** chown(2). */
export const OWNER_STAYS = -1;

/**
 * Replaces a file (mode 0600) so that a reader, or a crash, sees the old or the new content and
 * nothing between. With `durable` it is on the disk when this returns. `readers`: a group that may read it.
 */
export function replaceFile(
  path: string,
  content: string,
  durable: boolean,
  readers?: number,
): void {
  const temporary = `${path}.new`;
  try {
    const fd = openSync(temporary, 'w', 0o600);
    try {
      if (readers !== undefined) {
        fchownSync(fd, OWNER_STAYS, readers);
        fchmodSync(fd, 0o640);
      }
      const bytes = Buffer.from(content);
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
      if (durable) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    if (durable) syncFolder(dirname(path));
  } catch (error) {
    throw fileError(error, `cannot write ${path}`);
  }
}

/** Has a folder's entries on the disk. */
export function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A file's text, undefined when there is none; throws for other failures and beyond `max` bytes. */
export function readFileIfAny(path: string, max: number): string | undefined {
  try {
    const { size } = statSync(path);
    if (size > max) throw new IpipouError('generic', `${path}: ${size} bytes, more than ${max}`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw fileError(error, `cannot read ${path}`);
  }
}

/** Makes a folder that only its owner may enter, with its parents. */
export function makePrivateFolder(path: string): void {
  try {
    makeFolder(resolve(path));
  } catch (error) {
    throw fileError(error, `cannot make ${path}`);
  }
}

/** Not `recursive`: where a folder exists and takes no other (/proc), that tries again for ever. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (isErrno(error, 'EEXIST') && statSync(path).isDirectory()) return;
    if (!isErrno(error, 'ENOENT') || dirname(path) === path) throw error;
    makeFolder(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}

const MENDS: Readonly<Record<string, string>> = {
  EACCES: 'run as root',
  EPERM: 'run as root',
  ENOSPC: 'its file system is full: make room (df says how much there is)',
  EDQUOT: 'the disk quota is used up: make room',
  EROFS: 'its file system is read-only: mount it writable, or use another folder',
  ENOENT: 'this file system takes no folders: use another place',
};

/** A system error as the operator needs it: what could not be done, where, why, and what mends it. */
export function fileError(error: unknown, what: string): IpipouError {
  if (error instanceof IpipouError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  const hint = code === undefined ? undefined : MENDS[code];
  return new IpipouError('generic', `${what}: ${message}`, {
    ...(hint !== undefined && { hint }),
    cause: error,
  });
}

/** Whether a path still names the file that is open. */
export function isSameFile(fd: number, path: string): boolean {
  try {
    return fstatSync(fd).ino === statSync(path).ino;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

export const NO_FILE = 'not a regular file';

/** Why a file is not to be trusted; undefined = it is ours, or not there. */
export function whyForeign(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (!stat.isFile()) return NO_FILE;
  if (stat.uid !== process.getuid?.()) return `owned by user ${stat.uid}`;
  return (stat.mode & 0o022) === 0 ? undefined : 'others can write it';
}

/** Whether a caught value is a system error of this name. */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

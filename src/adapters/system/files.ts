import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { IpipouError } from '../../core/errors.ts';

/**
 * Replaces a file (mode 0600) so that a reader, or a crash, sees the old or the new content and
 * nothing between. With `durable` it is on the disk when this returns.
 */
export function replaceFile(path: string, content: string, durable: boolean): void {
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    const bytes = Buffer.from(content);
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
    if (durable) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  if (durable) syncFolder(dirname(path));
}

function syncFolder(path: string): void {
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
    throw error;
  }
}

/** Makes a folder that only its owner may enter, with its parents. */
export function makePrivateFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const hint = isErrno(error, 'EACCES') ? { hint: 'run as root' } : {};
    throw new IpipouError('generic', `cannot make ${path}: ${message}`, { ...hint, cause: error });
  }
}

/** Whether a caught value is a system error of this name. */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

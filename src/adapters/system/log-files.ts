import { renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, makePrivateFolder } from './files.ts';

/*
 * FOLDER/DEVICE.log (mode 0600): what a daemon in the background logs; DEVICE.log.1 what there was before.
 * They outlive the tunnel. In other network namespaces than that of the machine's first process, where the
 * same device may be another tunnel's, DEVICE@NAMESPACE.log, where NAMESPACE is the inode of the namespace.
 */

/** Begins a new log of a tunnel device below `folder` (/var/log/ipipou); the one before is kept. Its path. */
export function beginLogFile(folder: string, device: string): string {
  makePrivateFolder(folder);
  const path = logFileOf(folder, device);
  keepPrevious(path);
  return path;
}

/** Where the log of a tunnel device of this network namespace is, below `folder`. */
export function logFileOf(folder: string, device: string): string {
  const own = namespaceOf('self');
  const first = namespaceOf('1');
  const name = first === undefined || own === first ? device : `${device}@${own}`;
  return join(folder, `${name}.log`);
}

/** Undefined where one may not look. */
function namespaceOf(process: string): number | undefined {
  try {
    return statSync(`/proc/${process}/ns/net`).ino;
  } catch {
    return undefined;
  }
}

/** An empty log is not worth the one before it. */
function keepPrevious(path: string): void {
  try {
    if (statSync(path).size > 0) renameSync(path, `${path}.1`);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

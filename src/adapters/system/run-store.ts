import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { IpipouError } from '../../core/errors.ts';
import type { RunClaim, RunStore } from '../../ports/run-store.ts';
import {
  fileError,
  isErrno,
  isSameFile,
  makePrivateFolder,
  OWNER_STAYS,
  replaceFile,
} from './files.ts';
import { KeptSessions } from './kept-sessions.ts';
import { tryLock } from './lock.ts';
import { ownProcess } from './process-id.ts';
import { CONTROL_SOCKET, openRunList, readRecord, runFolderOf, STATUS_SOCKET } from './run-list.ts';

/** Run directories below `base` (/run/ipipou). */
export function createRunStore(base: string): RunStore {
  return { ...openRunList(base), claim: (device) => claim(runFolderOf(base, device), device) };
}

function claim(folder: string, device: string): RunClaim {
  const own = ownProcess();
  let lock = lockFolder(folder, device);
  const renew = (): void => {
    if (isSameFile(lock, join(folder, 'lock'))) return;
    const former = lock;
    lock = lockFolder(folder, device);
    closeSync(former);
    share(readers);
  };
  let readers: number | undefined;
  const share = (group: number | undefined): void => {
    readers = undefined;
    try {
      shareFolder(folder, group);
    } catch (error) {
      throw fileError(error, `cannot share ${folder}`);
    }
    readers = group;
  };
  return {
    previous: readRecord(folder),
    controlPath: join(folder, CONTROL_SOCKET),
    statusPath: join(folder, STATUS_SOCKET),
    process: own,
    share,
    sessions: () => new KeptSessions(join(folder, 'sessions')),
    write(record) {
      const text = JSON.stringify(record);
      try {
        replaceFile(join(folder, 'run.json'), text, false, readers);
      } catch (error) {
        if (!(error instanceof Error && isErrno(error.cause, 'ENOENT'))) throw error;
        renew();
        replaceFile(join(folder, 'run.json'), text, false, readers);
      }
    },
    intact: () =>
      isSameFile(lock, join(folder, 'lock')) &&
      ['run.json', CONTROL_SOCKET, ...(readers === undefined ? [] : [STATUS_SOCKET])].every(
        (name) => existsSync(join(folder, name)),
      ),
    renew,
    release(mode) {
      // The lock file goes while it is still locked, so that nobody locks one that is going.
      if (mode === 'remove') {
        rmSync(folder, { recursive: true, force: true });
        removeIfEmpty(dirname(folder));
      }
      closeSync(lock);
    },
  };
}

/**
 * Only what the group needs: to pass the folders above, to list the devices there, which anybody sees by their links,
 * and to enter this one.
 */
function shareFolder(folder: string, group: number | undefined): void {
  rmSync(join(folder, STATUS_SOCKET), { force: true });
  if (group === undefined) {
    chmodSync(folder, 0o700);
    return;
  }
  const devices = dirname(folder);
  chownSync(folder, OWNER_STAYS, group);
  chmodSync(folder, 0o710);
  chmodSync(devices, 0o755);
  chmodSync(dirname(devices), 0o711);
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY') && !isErrno(error, 'ENOENT')) throw error;
  }
}

/** A descriptor that holds the folder's lock until it is closed, or the process ends. */
function lockFolder(folder: string, device: string): number {
  for (;;) {
    makePrivateFolder(folder);
    const path = join(folder, 'lock');
    const fd = openLock(path);
    if (fd === undefined) continue;
    if (!tryLock(fd)) {
      const owner = readFileSync(path, 'utf8').trim();
      closeSync(fd);
      throw new IpipouError('generic', `${device} is already run by process ${owner}`, {
        hint: `ipipou show ${device}; ipipou down ${device}`,
      });
    }
    if (isSameFile(fd, path)) {
      ftruncateSync(fd);
      writeSync(fd, `${process.pid}\n`);
      return fd;
    }
    // Its owner removed the folder between our open and our lock.
    closeSync(fd);
  }
}

/** Undefined when somebody removed the folder just now. */
function openLock(path: string): number | undefined {
  try {
    return openSync(path, 'a+', 0o600);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw fileError(error, `cannot open ${path}`);
  }
}

import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { IpipouError } from '../../core/errors.ts';
import type { RunClaim, RunEntry, RunRecord, RunStore } from '../../ports/run-store.ts';
import {
  fileError,
  isErrno,
  isSameFile,
  makePrivateFolder,
  OWNER_STAYS,
  readFileIfAny,
  replaceFile,
  tryLock,
} from './files.ts';
import { KeptSessions } from './kept-sessions.ts';
import { fromFormerRecord } from './former-record.ts';
import { ownProcess, processState } from './process-id.ts';

/*
 * BASE/NAMESPACE/DEVICE/, where NAMESPACE is the inode of the network namespace:
 *   lock          flock(2)ed by the daemon that has the device
 *   run.json      what it runs, replaced as a whole
 *   control.sock  its control socket, root's alone
 *   status.sock   where a group may ask; then the group may enter the folder and read run.json, too
 *   sessions      what its sessions are, for the next run
 * It lies on a tmpfs (/run): it outlives the process, not the machine.
 */

const RECORD_MAX = 256 * 1024;
const CONTROL_SOCKET = 'control.sock';
const STATUS_SOCKET = 'status.sock';

/** The folder of the tunnels of this process's network namespace. */
function namespaceFolder(base: string): string {
  return join(base, String(statSync('/proc/self/ns/net').ino));
}

/** Run directories below `base` (/run/ipipou). */
export function createRunStore(base: string): RunStore {
  const folderOf = (device: string): string => join(namespaceFolder(base), device);
  const find = (device: string): RunEntry | undefined => {
    const folder = folderOf(device);
    const record = readRecord(folder);
    if (!record) return undefined;
    return {
      device,
      record,
      state: processState(record.process),
      controlPath: join(folder, isForOthers(folder) ? STATUS_SOCKET : CONTROL_SOCKET),
    };
  };
  return {
    find,
    stateOf: processState,
    list: () =>
      visible(devicesIn(namespaceFolder(base)), find).filter((entry) => entry !== undefined),
    claim: (device) => claim(folderOf(device), device),
  };
}

function devicesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw isErrno(error, 'EACCES') ? forRoot(error) : error;
  }
}

function forRoot(cause: unknown): IpipouError {
  return new IpipouError('generic', 'whether there are tunnels is for root to know', {
    hint: 'run as root to see them (sudo ipipou …), or as a member of their status-group',
    cause,
  });
}

/** What is found of each device that this user may look at; throws where there are some, and he may look at none. */
function visible<T>(devices: readonly string[], find: (device: string) => T): readonly T[] {
  const found: T[] = [];
  let hidden: unknown;
  for (const device of devices) {
    try {
      found.push(find(device));
    } catch (error) {
      if (!(error instanceof IpipouError && isErrno(error.cause, 'EACCES'))) throw error;
      hidden = error;
    }
  }
  if (hidden !== undefined && found.length === 0) throw forRoot(hidden);
  return found;
}

/** Whether this user may not speak to the control socket. */
function isForOthers(folder: string): boolean {
  try {
    accessSync(join(folder, CONTROL_SOCKET), constants.W_OK);
    return false;
  } catch (error) {
    return isErrno(error, 'EACCES');
  }
}

/** The record of a run directory; undefined when there is none that this program wrote. */
function readRecord(folder: string): RunRecord | undefined {
  const text = readFileIfAny(join(folder, 'run.json'), RECORD_MAX);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? fromFormerRecord(value) : undefined;
  } catch {
    return undefined;
  }
}

/** By its outline: the folder is root's alone, and records are written as a whole. */
function isRecord(value: unknown): value is RunRecord {
  if (typeof value !== 'object' || value === null) return false;
  if (!('process' in value && 'config' in value && 'plane' in value)) return false;
  const { process: id, config } = value;
  if (typeof id !== 'object' || id === null || typeof config !== 'object' || config === null) {
    return false;
  }
  return 'pid' in id && Number.isInteger(id.pid) && 'inner' in config && 'outer' in config;
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

import {
  closeSync,
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
  readFileIfAny,
  replaceFile,
  tryLock,
} from './files.ts';
import { fromFormerRecord } from './former-record.ts';
import { ownProcess, processState } from './process-id.ts';

/*
 * BASE/NAMESPACE/DEVICE/, where NAMESPACE is the inode of the network namespace:
 *   lock          flock(2)ed by the daemon that has the device
 *   run.json      what it runs, replaced as a whole
 *   control.sock  its control socket
 * It lies on a tmpfs (/run): it outlives the process, not the machine.
 */

const RECORD_MAX = 256 * 1024;

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
      controlPath: join(folder, 'control.sock'),
    };
  };
  return {
    find,
    stateOf: processState,
    list: () =>
      devicesIn(namespaceFolder(base))
        .map(find)
        .filter((entry) => entry !== undefined),
    claim: (device) => claim(folderOf(device), device),
  };
}

function devicesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    if (!isErrno(error, 'EACCES')) throw error;
    throw new IpipouError('generic', 'whether there are tunnels is for root to know', {
      hint: 'run as root to see them (sudo ipipou …)',
      cause: error,
    });
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
  };
  return {
    previous: readRecord(folder),
    controlPath: join(folder, 'control.sock'),
    process: own,
    write(record) {
      const text = JSON.stringify(record);
      try {
        replaceFile(join(folder, 'run.json'), text, false);
      } catch (error) {
        if (!(error instanceof Error && isErrno(error.cause, 'ENOENT'))) throw error;
        renew();
        replaceFile(join(folder, 'run.json'), text, false);
      }
    },
    intact: () =>
      isSameFile(lock, join(folder, 'lock')) &&
      ['run.json', 'control.sock'].every((name) => existsSync(join(folder, name))),
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

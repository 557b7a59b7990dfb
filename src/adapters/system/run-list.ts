import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { IpipouError } from '../../core/errors.ts';
import type { RunEntry, RunList, RunRecord } from '../../ports/run-store.ts';
import { isErrno, readFileIfAny } from './files.ts';
import { fromFormerRecord } from './former-record.ts';
import { processState } from './process-id.ts';

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
export const CONTROL_SOCKET = 'control.sock';
export const STATUS_SOCKET = 'status.sock';

/** The folder of the tunnels of this process's network namespace. */
function namespaceFolder(base: string): string {
  return join(base, String(statSync('/proc/self/ns/net').ino));
}

/** Where a device of this process's network namespace has its run directory, below `base` (/run/ipipou). */
export function runFolderOf(base: string, device: string): string {
  return join(namespaceFolder(base), device);
}

export function openRunList(base: string): RunList {
  const find = (device: string): RunEntry | undefined => {
    const folder = runFolderOf(base, device);
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
export function readRecord(folder: string): RunRecord | undefined {
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

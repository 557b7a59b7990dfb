import { constants } from 'node:os';
import { KernelError } from '../../core/errors.ts';
import type { ExitName } from '../../core/exit-codes.ts';
import { errno } from './libc.ts';

const names = new Map<number, string>(
  Object.entries(constants.errno)
    .toReversed()
    .map(([name, value]) => [value, name]),
);
// Linux names both 11 (EAGAIN, EWOULDBLOCK) and 95 (ENOTSUP, EOPNOTSUPP) twice: the kernel's choice.
names.set(constants.errno.EAGAIN, 'EAGAIN');
names.set(constants.errno.EOPNOTSUPP, 'EOPNOTSUPP');

export const EAGAIN = constants.errno.EAGAIN;
export const EINTR = constants.errno.EINTR;
export const EEXIST = constants.errno.EEXIST;
export const ENOENT = constants.errno.ENOENT;
export const ENODEV = constants.errno.ENODEV;
export const ENOBUFS = constants.errno.ENOBUFS;

/** "EEXIST" for 17; "errno 999" for a number that has no name. */
export function errnoName(code: number): string {
  return names.get(code) ?? `errno ${code}`;
}

/** The error of the system call that has just returned -1. */
export function systemError(
  operation: string,
  subject: string,
  exit: ExitName = 'generic',
): KernelError {
  return new KernelError(exit, { operation, errno: errnoName(errno()), subject });
}

/** `result`, or a thrown KernelError when it is negative. */
export function checked(
  result: number,
  operation: string,
  subject: string,
  exit?: ExitName,
): number {
  if (result < 0) throw systemError(operation, subject, exit);
  return result;
}

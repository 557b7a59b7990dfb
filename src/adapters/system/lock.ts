import { flock } from '../ffi/libc.ts';

const LOCK_EX = 2; // <sys/file.h>
const LOCK_NB = 4;

/** Takes the lock of an open file, which ends with the descriptor; whether nobody else has it. */
export function tryLock(fd: number): boolean {
  return flock(fd, LOCK_EX | LOCK_NB) >= 0;
}

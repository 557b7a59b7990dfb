import { constants } from 'node:fs';
import { checked } from '../../src/adapters/ffi/errno.ts';
import { close, open, setns } from '../../src/adapters/ffi/libc.ts';

// sched.h
const CLONE_NEWNET = 0x40000000;

/**
 * What `acquire` makes while this thread is in the named network namespace. A socket stays in the
 * namespace it was opened in, so nothing else of the test ever runs there; `acquire` must do its
 * opening synchronously, which the type asks for.
 */
export function inNamespace<T>(
  name: string,
  acquire: () => T extends Promise<unknown> ? never : T,
): T {
  const flags = constants.O_RDONLY | 0o2000000; // O_CLOEXEC
  const home = checked(open('/proc/thread-self/ns/net', flags), 'open', 'the own namespace');
  try {
    const there = checked(open(`/var/run/netns/${name}`, flags), 'open', `namespace ${name}`);
    try {
      checked(setns(there, CLONE_NEWNET), 'setns', `namespace ${name}`);
    } finally {
      close(there);
    }
    try {
      return acquire();
    } finally {
      checked(setns(home, CLONE_NEWNET), 'setns', 'the own namespace');
    }
  } finally {
    close(home);
  }
}

import koffi from 'koffi';
import { checked } from './errno.ts';
import { close, epollControl, epollCreate } from './libc.ts';

/** Readiness of a descriptor on this thread's event loop (uv_poll); `close` before closing the descriptor. */
export interface Readiness {
  close(): void;
  /** Lets the process end while only this waits. */
  unref(): void;
}

const EPOLL_CLOEXEC = 0o2000000; // <sys/epoll.h>
const EPOLL_CTL_ADD = 1;
const EPOLL_EVENT_BYTES = 16;

/**
 * Throws what the kernel says of a descriptor that cannot be waited for: EPERM of a file or a folder, EBADF
 * of a closed one. koffi would end the process (3.3.4, SIGABRT).
 */
function assertPollable(fd: number): void {
  const subject = `descriptor ${fd}`;
  const epoll = checked(epollCreate(EPOLL_CLOEXEC), 'epoll_create1', subject);
  try {
    const nothing = new Uint8Array(EPOLL_EVENT_BYTES);
    checked(epollControl(epoll, EPOLL_CTL_ADD, fd, nothing), 'epoll_ctl', subject);
  } finally {
    close(epoll);
  }
}

/**
 * Calls back, level-triggered, while `fd` can be read. The callback must drain it or be called again.
 * A `status` below 0 (libuv's UV_EBADF) says that the kernel reports an error on the descriptor
 * (POLLERR); libuv then stops watching it. The owner keeps the handle: one that is garbage is closed.
 * Throws a KernelError for a descriptor that cannot be waited for.
 */
export function onReadable(fd: number, callback: (status: number) => void): Readiness {
  assertPollable(fd);
  // koffi types the callback without the status that it passes first (3.3.4, src/uv.cc).
  const listener = callback as unknown as Parameters<typeof koffi.node.poll>[1];
  return koffi.node.poll(fd, { readable: true }, listener);
}

/**
 * As `onReadable`, for descriptors whose errors pass, such as a netlink socket's ENOBUFS: goes on
 * watching after one. The callback must take the error (by a recv), else it is called again at once,
 * without end.
 */
export function onReadableOrError(fd: number, callback: () => void): Readiness {
  let closed = false;
  let referenced = true;
  let handle: Readiness;
  const watch = (): Readiness =>
    onReadable(fd, (status) => {
      callback();
      if (status >= 0 || closed) return;
      handle.close();
      handle = watch();
      if (!referenced) handle.unref();
    });
  handle = watch();
  return {
    close() {
      if (!closed) handle.close();
      closed = true;
    },
    unref() {
      referenced = false;
      handle.unref();
    },
  };
}

/** What a descriptor is watched for; nothing at all is allowed. */
export type Interest = { readonly readable: boolean; readonly writable: boolean };

/** A watch whose interest changes. One descriptor has at most one on one thread (libuv's rule). */
export interface Watch {
  /** Changes what is waited for; also goes on after an error was reported. */
  want(interest: Interest): void;
  /** Does nothing a second time. */
  close(): void;
}

/**
 * Calls back, level-triggered, with what the descriptor is ready for, or with 'error' when the
 * kernel reports one (POLLERR): nothing is watched then until `want` is called again. Begins by
 * waiting for nothing. Throws a KernelError for a descriptor that cannot be waited for.
 */
export function watch(fd: number, callback: (ready: Interest | 'error') => void): Watch {
  assertPollable(fd);
  let wanted: Interest = { readable: false, writable: false };
  let closed = false;
  // As above, of the callback's types: the status comes first, then what is ready.
  const listener = ((status: number, ready: Interest) => {
    if (status < 0) wanted = { readable: false, writable: false };
    callback(status < 0 ? 'error' : ready);
  }) as unknown as Parameters<typeof koffi.node.poll>[1];
  const handle = koffi.node.poll(fd, { readable: false, writable: false }, listener);
  return {
    want(interest) {
      if (closed) return;
      const { readable, writable } = interest;
      if (readable === wanted.readable && writable === wanted.writable) return;
      wanted = { readable, writable };
      if (readable || writable) handle.start(wanted, listener);
      else handle.stop();
    },
    close() {
      if (!closed) handle.close();
      closed = true;
    },
  };
}

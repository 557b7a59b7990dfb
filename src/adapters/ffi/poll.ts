import koffi from 'koffi';

/** Readiness of a descriptor on this thread's event loop (uv_poll); `close` before closing the descriptor. */
export interface Readiness {
  close(): void;
  /** Lets the process end while only this waits. */
  unref(): void;
}

/**
 * Calls back, level-triggered, while `fd` can be read. The callback must drain it or be called again.
 * A `status` below 0 (libuv's UV_EBADF) says that the kernel reports an error on the descriptor
 * (POLLERR); libuv then stops watching it. The owner keeps the handle: one that is garbage is closed.
 */
export function onReadable(fd: number, callback: (status: number) => void): Readiness {
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
 * waiting for nothing.
 */
export function watch(fd: number, callback: (ready: Interest | 'error') => void): Watch {
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

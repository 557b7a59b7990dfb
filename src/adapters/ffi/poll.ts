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

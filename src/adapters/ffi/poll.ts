import koffi from 'koffi';

/** Readiness of a descriptor on this thread's event loop (uv_poll); `close` before closing the descriptor. */
export interface Readiness {
  close(): void;
  /** Lets the process end while only this waits. */
  unref(): void;
}

/** Calls back, level-triggered, while `fd` can be read. The callback must drain it or be called again. */
export function onReadable(fd: number, callback: () => void): Readiness {
  return koffi.node.poll(fd, { readable: true }, callback);
}

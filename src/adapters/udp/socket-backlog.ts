import { encodeU32host, getU32host } from '../../core/bytes.ts';
import { getsockopt } from '../ffi/libc.ts';

/** asm-generic/socket.h */
const SOL_SOCKET = 1;
const SO_MEMINFO = 55;
/** linux/sock_diag.h: SK_MEMINFO_RMEM_ALLOC, RCVBUF and DROPS, of words. */
const [HELD, ROOM, DROPS] = [0, 1, 8];
const WORDS = 9;

/** What came in by a socket and was not read. */
export type Backlog = {
  /** Packets that were dropped since there is the socket, by its filter or because it was full; begins anew after 2^32. */
  readonly dropped: number;
  /** The part of its buffer that is full, 0..1. */
  readonly full: number;
};

/** Undefined where the kernel does not tell. */
export function socketBacklog(fd: number): Backlog | undefined {
  const value = new Uint8Array(WORDS * 4);
  const length = encodeU32host(value.length);
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, value, length) !== 0) return undefined;
  const word = (index: number): number => getU32host(value, index * 4);
  return { dropped: word(DROPS), full: Math.min(1, word(HELD) / Math.max(1, word(ROOM))) };
}

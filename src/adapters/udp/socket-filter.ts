import { address, setsockopt } from '../ffi/libc.ts';
import { littleEndian, pinned, viewOf } from './message-headers.ts';

/** asm-generic/socket.h */
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;

/** Sets a socket's classic BPF filter (struct sock_filter[], pinned), or takes it away; false when refused. */
export function setSocketFilter(fd: number, filter: Uint8Array | undefined): boolean {
  if (!filter) return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, pinned(4), 4) === 0;
  // struct sock_fprog: 0 len u16, 8 filter *
  const program = pinned(16);
  const view = viewOf(program);
  view.setUint16(0, filter.length / 8, littleEndian);
  view.setBigUint64(8, address(filter), littleEndian);
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, program.length) === 0;
}

import koffi from 'koffi';

/**
 * The system calls that Node has no door to. Every function returns what the kernel returned, or
 * throws nothing: callers look at -1 and `errno()`. All are used on non-blocking descriptors, so
 * that no call blocks the event loop. Constants live beside their users, by their kernel names.
 */
const libc = koffi.load('libc.so.6');

export const socket = libc.func('int socket(int domain, int type, int protocol)') as (
  domain: number,
  type: number,
  protocol: number,
) => number;

export const bind = libc.func('int bind(int fd, const uint8_t *addr, uint32_t len)') as (
  fd: number,
  address: Uint8Array,
  length: number,
) => number;

export const getsockname = libc.func('int getsockname(int fd, uint8_t *addr, uint8_t *len)') as (
  fd: number,
  address: Uint8Array,
  length: Uint8Array,
) => number;

export const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t len)',
) as (fd: number, level: number, name: number, value: Uint8Array, length: number) => number;

/** `length`: 4 bytes in host byte order, of `value`; the kernel writes there how many it gave. */
export const getsockopt = libc.func(
  'int getsockopt(int fd, int level, int name, uint8_t *value, uint8_t *len)',
) as (fd: number, level: number, name: number, value: Uint8Array, length: Uint8Array) => number;

export const sendto = libc.func(
  'long sendto(int fd, const uint8_t *data, size_t len, int flags, const uint8_t *addr, uint32_t addrlen)',
) as (
  fd: number,
  data: Uint8Array,
  length: number,
  flags: number,
  address: Uint8Array | null,
  addressLength: number,
) => number;

export const recv = libc.func('long recv(int fd, uint8_t *data, size_t len, int flags)') as (
  fd: number,
  data: Uint8Array,
  length: number,
  flags: number,
) => number;

/** `header` is a struct msghdr whose pointers the caller fills in from `address()`. */
export const recvmsg = libc.func('long recvmsg(int fd, uint8_t *msg, int flags)') as (
  fd: number,
  header: Uint8Array,
  flags: number,
) => number;

export const sendmsg = libc.func('long sendmsg(int fd, const uint8_t *msg, int flags)') as (
  fd: number,
  header: Uint8Array,
  flags: number,
) => number;

export const recvmmsg = libc.func(
  'int recvmmsg(int fd, uint8_t *vec, unsigned int n, int flags, void *timeout)',
) as (fd: number, vector: Uint8Array, count: number, flags: number, timeout: null) => number;

export const sendmmsg = libc.func(
  'int sendmmsg(int fd, uint8_t *vec, unsigned int n, int flags)',
) as (fd: number, vector: Uint8Array, count: number, flags: number) => number;

export const open = libc.func('int open(const char *path, int flags)') as (
  path: string,
  flags: number,
) => number;

export const read = libc.func('long read(int fd, uint8_t *data, size_t len)') as (
  fd: number,
  data: Uint8Array,
  length: number,
) => number;

export const write = libc.func('long write(int fd, const uint8_t *data, size_t len)') as (
  fd: number,
  data: Uint8Array,
  length: number,
) => number;

/*
 * The same calls with addresses as numbers (user space ends below 2^53), for memory that its owner
 * keeps reachable and moves about in: no view has to be made for a part of a buffer.
 */

export const readAt = libc.func('read', 'long', ['int', 'uintptr_t', 'size_t']) as (
  fd: number,
  address: number,
  length: number,
) => number;

export const writeAt = libc.func('write', 'long', ['int', 'uintptr_t', 'size_t']) as (
  fd: number,
  address: number,
  length: number,
) => number;

/** `vector` is a struct iovec[]. */
export const writevAt = libc.func('writev', 'long', ['int', 'uintptr_t', 'int']) as (
  fd: number,
  vector: number,
  count: number,
) => number;

/** `vector` is a struct mmsghdr[]. */
export const sendmmsgAt = libc.func('sendmmsg', 'int', ['int', 'uintptr_t', 'uint', 'int']) as (
  fd: number,
  vector: number,
  count: number,
  flags: number,
) => number;

/** `vector` is a struct mmsghdr[]. Takes no timeout: give 0. */
export const recvmmsgAt = libc.func('recvmmsg', 'int', [
  'int',
  'uintptr_t',
  'uint',
  'int',
  'uintptr_t',
]) as (fd: number, vector: number, count: number, flags: number, timeout: 0) => number;

export const close = libc.func('int close(int fd)') as (fd: number) => number;

/** ioctl with a pointer argument. */
export const ioctl = libc.func('int ioctl(int fd, unsigned long request, uint8_t *arg)') as (
  fd: number,
  request: number,
  argument: Uint8Array,
) => number;

/** ioctl whose argument is a number. */
export const ioctlValue = libc.func('ioctl', 'int', ['int', 'ulong', 'ulong']) as (
  fd: number,
  request: number,
  value: number,
) => number;

/** epoll_create1(2): a descriptor to wait with. */
export const epollCreate = libc.func('int epoll_create1(int flags)') as (flags: number) => number;

/** epoll_ctl(2); `event` is a struct epoll_event. */
export const epollControl = libc.func(
  'int epoll_ctl(int epfd, int op, int fd, const uint8_t *event)',
) as (epollFd: number, operation: number, fd: number, event: Uint8Array) => number;

/** prctl(2) with one argument. */
export const prctl = libc.func('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']) as (
  option: number,
  value: number,
  third: 0,
  fourth: 0,
  fifth: 0,
) => number;

/** flock(2) on a descriptor. */
export const flock = libc.func('int flock(int fd, int operation)') as (
  fd: number,
  operation: number,
) => number;

/** Moves the calling thread into the namespace that `fd` names (CLONE_NEWNET and so on). */
export const setns = libc.func('int setns(int fd, int type)') as (
  fd: number,
  type: number,
) => number;

/** _exit(2): ends the process without waiting for its threads; nothing that is buffered is written. */
export const exitNow = libc.func('void _exit(int status)') as (status: number) => void;

/** errno of the last call on this thread. */
export function errno(): number {
  return koffi.errno();
}

/** The address of a buffer's memory; valid while the buffer is reachable (the owner keeps it). */
export function address(buffer: Uint8Array): bigint {
  return koffi.address(buffer);
}

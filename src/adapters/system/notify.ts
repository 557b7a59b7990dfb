import { close, sendto, socket } from '../ffi/libc.ts';
import type { Notify } from '../../ports/notify.ts';

// <sys/socket.h>, <bits/socket_type.h>, x86 and ARM alike
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_NOSIGNAL = 0x4000;
const SUN_PATH_MAX = 108;

/**
 * Tells systemd through the datagram socket that NOTIFY_SOCKET names (sd_notify(3)); a name that
 * begins with `@` is abstract. Node has no datagram sockets of this family. Without the variable,
 * or when the manager does not listen, nothing happens.
 */
export function createNotify(socketName: string | undefined): Notify {
  const tell = (...lines: string[]): void => {
    if (socketName) sendDatagram(socketName, Buffer.from(lines.join('\n')));
  };
  const clean = (text: string): string => text.replaceAll('\n', ' ');
  return {
    ready: (status) => tell('READY=1', `MAINPID=${process.pid}`, `STATUS=${clean(status)}`),
    status: (text) => tell(`STATUS=${clean(text)}`),
    stopping: () => tell('STOPPING=1', 'STATUS=taking the tunnel down'),
  };
}

function sendDatagram(name: string, message: Uint8Array): void {
  const address = encodeUnixAddress(name);
  if (!address) return;
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  // Not heard is no failure of ours: the manager's own start timeout notices.
  sendto(fd, message, message.length, MSG_NOSIGNAL, address, address.length);
  close(fd);
}

/** struct sockaddr_un (unix(7)): family in host byte order, then the path. */
export function encodeUnixAddress(name: string): Uint8Array | undefined {
  const path = Buffer.from(name);
  if (path.length === 0 || path.length >= SUN_PATH_MAX) return undefined;
  const abstract = path[0] === 0x40;
  if (abstract) path[0] = 0;
  const family = Buffer.alloc(2);
  if (isLittleEndian()) family.writeUInt16LE(AF_UNIX);
  else family.writeUInt16BE(AF_UNIX);
  // A path is ended by a zero byte; an abstract name is as long as the address says.
  return Buffer.concat(abstract ? [family, path] : [family, path, Buffer.alloc(1)]);
}

function isLittleEndian(): boolean {
  return new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
}

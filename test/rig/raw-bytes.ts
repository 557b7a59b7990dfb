import { checked } from '../../src/adapters/ffi/errno.ts';
import { close, sendto, socket } from '../../src/adapters/ffi/libc.ts';
import { familyOf, type OuterIp } from '../../src/core/addr.ts';
import { AF_INET, AF_INET6, encodeSockaddr } from '../../src/core/wire/sockaddr.ts';

const SOCK_RAW = 3;
const IPPROTO_RAW = 255;

/** Sends whole IP packets as they are given, however wrong they are. */
export type RawBytes = {
  send(packet: Uint8Array, to: OuterIp): void;
  close(): void;
};

/** In the calling thread's namespace. */
export function openRawBytes(): RawBytes {
  const open = (family: number) =>
    checked(socket(family, SOCK_RAW, IPPROTO_RAW), 'socket(SOCK_RAW)', 'test');
  const sockets = { ipv4: open(AF_INET), ipv6: open(AF_INET6) };
  return {
    send(packet, to) {
      const address = encodeSockaddr({ ip: to, port: 0 });
      const fd = sockets[familyOf(to)];
      checked(sendto(fd, packet, packet.length, 0, address, address.length), 'sendto', 'test');
    },
    close() {
      close(sockets.ipv4);
      close(sockets.ipv6);
    },
  };
}

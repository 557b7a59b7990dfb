import { checked } from '../../src/adapters/ffi/errno.ts';
import { close, sendto, socket } from '../../src/adapters/ffi/libc.ts';
import { decodeOuterIpv6 } from '../../src/core/addr.ts';
import { AF_INET6, encodeSockaddr } from '../../src/core/wire/sockaddr.ts';
import { inNamespace } from './in-namespace.ts';

/** bits/socket_type.h, netinet/in.h: what is sent has its own header. */
const SOCK_RAW = 3;
const IPPROTO_RAW = 255;
const DESTINATION = 24;

/** Sends whole IPv6 packets out of a namespace, whatever is in their headers. */
export class RawIpv6 implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  static in(namespace: string): RawIpv6 {
    return inNamespace(
      namespace,
      () => new RawIpv6(checked(socket(AF_INET6, SOCK_RAW, IPPROTO_RAW), 'socket', 'raw IPv6')),
    );
  }

  /** To where its header says. */
  send(packet: Uint8Array): void {
    const name = encodeSockaddr({ ip: decodeOuterIpv6(packet, DESTINATION), port: 0 });
    checked(sendto(this.#fd, packet, packet.length, 0, name, name.length), 'sendto', 'raw IPv6');
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

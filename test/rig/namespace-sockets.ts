import { checked } from '../../src/adapters/ffi/errno.ts';
import { bind, close, recv, sendto, setsockopt, socket } from '../../src/adapters/ffi/libc.ts';
import { IPPROTO_IP, SOL_UDP, UDP_SEGMENT } from '../../src/adapters/udp/message-headers.ts';
import { familyOf, type Ip } from '../../src/core/addr.ts';
import { encodeU32host } from '../../src/core/bytes.ts';
import { addressFamily, encodeSockaddr } from '../../src/core/wire/sockaddr.ts';
import { inNamespace } from './in-namespace.ts';

// sys/socket.h, linux/if_packet.h, linux/if_ether.h
const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_IP_BE = 0x0008;
const ETH_P_ALL_BE = 0x0300;
/** linux/in.h */
const IP_TOS = 1;

/** Outside or inside of a tunnel. */
type SocketEnd = { readonly ip: Ip; readonly port: number };

/** A socket in a namespace; what arrives is taken by polling. */
export class NamespaceSocket implements Disposable {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(new ArrayBuffer(65_536));

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** A UDP socket bound to an endpoint of the namespace. */
  static udp(namespace: string, local: SocketEnd): NamespaceSocket {
    return inNamespace(namespace, () => {
      const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
      const fd = checked(
        socket(addressFamily(familyOf(local.ip)), type, 0),
        'socket',
        'test socket',
      );
      const name = encodeSockaddr(local);
      checked(bind(fd, name, name.length), 'bind', `${local.ip}:${local.port}`);
      return new NamespaceSocket(fd);
    });
  }

  /** Sees every IPv4 packet that arrives in the namespace, from its IP header on. */
  static tap(namespace: string): NamespaceSocket {
    return inNamespace(namespace, () => {
      const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
      return new NamespaceSocket(checked(socket(AF_PACKET, type, ETH_P_IP_BE), 'socket', 'tap'));
    });
  }

  /** Sees every packet that comes or goes, also what a tc program takes: before ingress, after egress. */
  static tapAll(namespace: string): NamespaceSocket {
    return inNamespace(namespace, () => {
      const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
      return new NamespaceSocket(checked(socket(AF_PACKET, type, ETH_P_ALL_BE), 'socket', 'tap'));
    });
  }

  /** From now on what is sent is cut into datagrams of so many bytes, as late as the kernel can (UDP_SEGMENT). */
  segment(length: number): void {
    const value = encodeU32host(length);
    checked(setsockopt(this.#fd, SOL_UDP, UDP_SEGMENT, value, value.length), 'UDP_SEGMENT', 'test');
  }

  /** From now on what is sent over IPv4 has this type of service. */
  typeOfService(value: number): void {
    const bytes = encodeU32host(value);
    checked(setsockopt(this.#fd, IPPROTO_IP, IP_TOS, bytes, bytes.length), 'IP_TOS', 'test');
  }

  send(to: SocketEnd, payload: Uint8Array): void {
    const name = encodeSockaddr(to);
    checked(sendto(this.#fd, payload, payload.length, 0, name, name.length), 'sendto', 'test');
  }

  /** Everything that has arrived since the last call. */
  received(): readonly Uint8Array[] {
    const packets: Uint8Array[] = [];
    for (;;) {
      const length = recv(this.#fd, this.#buffer, this.#buffer.length, 0);
      if (length < 0) return packets;
      packets.push(this.#buffer.slice(0, length));
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

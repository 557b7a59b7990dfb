import { execFileSync } from 'node:child_process';
import { close, read, write } from '../../src/adapters/ffi/libc.ts';
import { onReadable, type Readiness } from '../../src/adapters/ffi/poll.ts';
import { createTunDevice } from '../../src/adapters/planes/tun/tun-device.ts';
import {
  decodeOuterIpv4,
  encodeIp,
  familyOf,
  formatPrefix,
  type OuterIp,
  type Prefix,
} from '../../src/core/addr.ts';
import { translated } from '../../src/core/nat64.ts';
import { decodeUdp, encodeUdpPacket, type UdpDatagram } from '../../src/core/wire/udp.ts';
import { ip } from './addresses.ts';
import { inNamespace } from './in-namespace.ts';

const DEVICE = 'nat64';
/** What networks that have no prefix of their own use (RFC 6052, section 2.1). */
export const TRANSLATOR_PREFIX: Prefix<OuterIp> = { ip: ip('64:ff9b::'), length: 96 };
const ROOM = 65_536;

/**
 * A translator in a router (NAT64), of UDP alone and for one client, whose ports it keeps. As RFC 6146, section 3.4,
 * allows, what comes over IPv4 without a UDP checksum goes no further.
 *
 *     client, IPv6 ── prefix::a.b.c.d ──> nat64 ── a.b.c.d, from `outside` ──> wan
 */
export class Translator implements Disposable {
  readonly #fd: number;
  readonly #readiness: Readiness;
  readonly #client: OuterIp;
  readonly #outside: OuterIp;
  readonly #room = new Uint8Array(new ArrayBuffer(ROOM));
  /** Datagrams that went from one family to the other. */
  passed = 0;
  /** Those without a checksum. */
  dropped = 0;

  /** `outside`: a free IPv4 address of the network behind `wan`, which the router answers for. */
  constructor(router: string, ends: { readonly client: OuterIp; readonly outside: OuterIp }) {
    this.#client = ends.client;
    this.#outside = ends.outside;
    this.#fd = inNamespace(router, () => createTunDevice(DEVICE, false));
    const { outside } = ends;
    const set = `ip link set ${DEVICE} up
      ip route add ${formatPrefix(TRANSLATOR_PREFIX)} dev ${DEVICE}
      ip route add ${outside} dev ${DEVICE}
      ip neigh add proxy ${outside} dev wan`;
    execFileSync('ip', ['netns', 'exec', router, 'bash', '-ec', set]);
    this.#readiness = onReadable(this.#fd, () => this.#drain());
  }

  [Symbol.dispose](): void {
    this.#readiness.close();
    close(this.#fd);
  }

  #drain(): void {
    for (;;) {
      const length = read(this.#fd, this.#room, ROOM);
      if (length < 0) return;
      const packet = this.#room.slice(0, length);
      const datagram = decodeUdp(packet);
      if (!datagram.ok) continue;
      const [checksum = 0, low = 0] = packet.subarray(26);
      const lacks = familyOf(datagram.value.source.ip) === 'ipv4' && (checksum | low) === 0;
      if (lacks) this.dropped += 1;
      else this.#pass(datagram.value);
    }
  }

  #pass({ source, destination, payload, ttl }: UdpDatagram): void {
    const out = familyOf(source.ip) === 'ipv6';
    if (source.ip !== this.#client && out) return;
    const from = out ? this.#outside : translated(source.ip, TRANSLATOR_PREFIX);
    const to = out ? decodeOuterIpv4(encodeIp(destination.ip), 12) : this.#client;
    const local = { ip: from, port: source.port };
    const path = { local, remote: { ip: to, port: destination.port } };
    const dontFragment = out;
    const packet = encodeUdpPacket({ path, payload, ttl: ttl - 1, dontFragment, checksum: true });
    if (write(this.#fd, packet, packet.length) > 0) this.passed += 1;
  }
}

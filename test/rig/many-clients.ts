import { afterEach, beforeEach } from 'vitest';
import {
  decodeInnerIpv4,
  innerIpv4FromNumber,
  type InnerIp,
  type Endpoint,
  type Path,
} from '../../src/core/addr.ts';
import type { PeerId } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { decodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import { NamespaceSocket } from './namespace-sockets.ts';
import type { HostOptions, HostPeer, PlaneHost } from './plane-host.ts';
import { A, B, INNER_B, type PlanePair } from './plane-pair.ts';

/*
 * A server with many peers on one device and one port. The clients are sockets, which send and receive
 * inner packets as a stock FOU peer would: in UDP, without anything around.
 *
 *     clients :any  10.9.0.1, 10.9.0.3 ── v0 ┄ v0 ── 10.9.0.2:10000 ipipou0 172.28.0.0  b
 */

/** 172.28.1.0 and so on. */
export function innerIp(number: number): InnerIp {
  return innerIpv4FromNumber(0xac1c0100 + number);
}

export function peerOf(number: number): HostPeer {
  const address = innerIp(number);
  return {
    id: `peer${number}` as PeerId,
    innerIps: [address],
    allowedIps: [{ ip: address, length: 32 }],
  };
}

export function pathOf(remote: Endpoint): Path {
  return { local: B, remote };
}

/** Where client `number` sends from: all behind one address. */
export function clientEnd(number: number): Endpoint {
  return { ip: A.ip, port: port(20_000 + number) };
}

export function manyPeers(count: number): HostOptions {
  return { ips: [INNER_B], peers: Array.from({ length: count }, (_, number) => peerOf(number)) };
}

/** Sources of the inner packets that a client has been sent. */
export function innerOf(packets: readonly Uint8Array[]): readonly (readonly [InnerIp, InnerIp])[] {
  return packets.flatMap((packet) => {
    const header = decodeIpv4Header(packet, decodeInnerIpv4);
    return header.ok ? [[header.value.source, header.value.destination] as const] : [];
  });
}

/** For every test: b of the pair open with so many peers, and their clients in a, which `use` is given. */
export function manyClientsForEach(
  pairOf: () => PlanePair,
  count: number,
  use: (clients: readonly NamespaceSocket[]) => void,
): void {
  let clients: readonly NamespaceSocket[] = [];
  beforeEach(async () => {
    const { b, cable } = pairOf();
    clients = await manyClients(b, cable.a, count);
    use(clients);
  });
  afterEach(() => {
    for (const client of clients) client[Symbol.dispose]();
  });
}

/** Opens a plane with so many peers and admits them; their clients, in namespace `from`. */
async function manyClients(
  server: PlaneHost,
  from: string,
  count: number,
): Promise<readonly NamespaceSocket[]> {
  await server.open(manyPeers(count));
  const clients = Array.from({ length: count }, (_, number) =>
    NamespaceSocket.udp(from, clientEnd(number)),
  );
  await server.admitAll(
    clients.map((_, number) => ({
      peer: peerOf(number).id,
      path: pathOf(clientEnd(number)),
    })),
  );
  return clients;
}

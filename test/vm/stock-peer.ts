import { familyOf, type Family, type InnerIp, type OuterIp } from '../../src/core/addr.ts';
import type { Port } from '../../src/core/units.ts';
import { ipBatch } from '../../src/adapters/lab/namespaces.ts';

/*
 * One end of a FOU tunnel made with plain `ip` commands: the stock kernel, without ipipou.
 *
 *   inner packet → device → UDP localPort → remotePort of the remote address
 *
 * What is encapsulated by FOU is sent as it is, and listeners for GUE take that too (GUE's variant 1), of both
 * inner families on one port.
 */

/** Devices by what they carry in what, and the listener that goes with each. */
export const STOCK_KINDS = {
  'ipip, FOU': { link: 'type ipip', listen: 'ipproto 4', outside: 'ipv4', inside: ['ipv4'] },
  'ipip, GUE': { link: 'type ipip', listen: 'gue', outside: 'ipv4', inside: ['ipv4'] },
  'sit for IPv6, FOU': {
    ...{ link: 'type sit mode ip6ip', listen: 'ipproto 41', outside: 'ipv4', inside: ['ipv6'] },
  },
  'sit, GUE': {
    ...{ link: 'type sit mode any', listen: 'gue', outside: 'ipv4', inside: ['ipv4', 'ipv6'] },
  },
  'ip6tnl for IPv4, FOU': {
    link: 'type ip6tnl mode ipip6 encaplimit none',
    ...{ listen: 'ipproto 4', outside: 'ipv6', inside: ['ipv4'] },
  },
  'ip6tnl for IPv6, FOU': {
    link: 'type ip6tnl mode ip6ip6 encaplimit none',
    ...{ listen: 'ipproto 41', outside: 'ipv6', inside: ['ipv6'] },
  },
  'ip6tnl, GUE': {
    link: 'type ip6tnl mode any encaplimit none',
    ...{ listen: 'gue', outside: 'ipv6', inside: ['ipv4', 'ipv6'] },
  },
} as const satisfies Record<string, StockKind>;

export type StockKind = {
  readonly link: string;
  readonly listen: string;
  readonly outside: Family;
  readonly inside: readonly Family[];
};

export type StockPeer = {
  readonly namespace: string;
  /** Name of the ipip device. */
  readonly device: string;
  /** Outer device that the tunnel is bound to. */
  readonly outerDevice: string;
  readonly local: OuterIp;
  readonly remote: OuterIp;
  readonly localPort: Port;
  readonly remotePort: Port;
  readonly innerIp: InnerIp;
  readonly innerPeerIp: InnerIp;
  /** A second pair of addresses inside, of the other family. */
  readonly beside?: { readonly innerIp: InnerIp; readonly innerPeerIp: InnerIp };
  /** What the device is; by default ipip and a listener for FOU. */
  readonly kind?: StockKind;
  /** What the device puts before packets; `gue` adds a header of 4 bytes that ipipou does not have. */
  readonly encap?: 'fou' | 'gue';
  /** Whether its outer packets have a UDP checksum; they do by default. */
  readonly checksum?: boolean;
};

/** Lines of `ip` that make the tunnel; `encap-csum` because the kernel's default is no UDP checksum. */
export async function addStockPeer(peer: StockPeer): Promise<void> {
  const { innerIp, innerPeerIp, beside } = peer;
  const pairs = [{ innerIp, innerPeerIp }, ...(beside === undefined ? [] : [beside])];
  await ipBatch(peer.namespace, [
    // 4: `ipproto ipip` would mean protocol 94.
    `fou add ${listener(peer)} ${kindOf(peer).listen} local ${peer.local}`,
    `link add name ${peer.device} ${kindOf(peer).link} ${endpoints(peer)} dev ${peer.outerDevice}`,
    // Else the kernel says things of its own from an address of the link.
    ...(kindOf(peer).inside.some((family) => family === 'ipv6')
      ? [`link set ${peer.device} addrgenmode none`]
      : []),
    // Before the addresses: of IPv6 the route to the other end is made on a device that is up.
    `link set ${peer.device} up`,
    ...pairs.map(
      (pair) =>
        `addr add ${pair.innerIp} peer ${pair.innerPeerIp} dev ${peer.device}${nodad(pair)}`,
    ),
  ]);
}

/** Points an existing peer at another remote address and port, keeping the device. */
export async function repointStockPeer(
  peer: StockPeer,
  to: { readonly remote: OuterIp; readonly remotePort: Port },
): Promise<StockPeer> {
  const moved = { ...peer, ...to };
  await ipBatch(peer.namespace, [
    `link set ${peer.device} ${kindOf(peer).link} ${endpoints(moved)}`,
  ]);
  return moved;
}

export async function removeStockPeer(peer: StockPeer): Promise<void> {
  await ipBatch(peer.namespace, [
    `link del ${peer.device}`,
    `fou del ${listener(peer)} local ${peer.local}`,
  ]);
}

function kindOf({ kind = STOCK_KINDS['ipip, FOU'] }: StockPeer): StockKind {
  return kind;
}

function listener(peer: StockPeer): string {
  return `${kindOf(peer).outside === 'ipv6' ? '-6 ' : ''}port ${peer.localPort}`;
}

function nodad({ innerIp }: { readonly innerIp: InnerIp }): string {
  return familyOf(innerIp) === 'ipv6' ? ' nodad' : '';
}

/** encap, sport and dport are always given together: a port alone changes the other one's bytes. */
function endpoints(peer: StockPeer): string {
  const which = kindOf(peer).outside === 'ipv6' ? 'udp6-csum' : 'csum';
  const checksum = peer.checksum === false ? `noencap-${which}` : `encap-${which}`;
  const ports = `encap-sport ${peer.localPort} encap-dport ${peer.remotePort}`;
  const encap = `encap ${peer.encap ?? 'fou'} ${checksum} ${ports}`;
  return `local ${peer.local} remote ${peer.remote} ttl 64 ${encap}`;
}

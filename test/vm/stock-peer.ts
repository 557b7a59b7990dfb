import type { OuterIp, InnerIp } from '../../src/core/addr.ts';
import type { Port } from '../../src/core/units.ts';
import { ipBatch } from '../../src/adapters/lab/namespaces.ts';

/*
 * One end of a FOU tunnel made with plain `ip` commands: the stock kernel, without ipipou.
 *
 *   inner packet → ipip device → UDP localPort → remotePort of the remote address
 */

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
  /** Whether its outer packets have a UDP checksum; they do by default. */
  readonly checksum?: boolean;
};

/** Lines of `ip` that make the tunnel; `encap-csum` because the kernel's default is no UDP checksum. */
export async function addStockPeer(peer: StockPeer): Promise<void> {
  await ipBatch(peer.namespace, [
    // 4: `ipproto ipip` would mean protocol 94.
    `fou add port ${peer.localPort} ipproto 4 local ${peer.local}`,
    `link add name ${peer.device} type ipip ${endpoints(peer)} dev ${peer.outerDevice}`,
    `addr add ${peer.innerIp} peer ${peer.innerPeerIp} dev ${peer.device}`,
    `link set ${peer.device} up`,
  ]);
}

/** Points an existing peer at another remote address and port, keeping the device. */
export async function repointStockPeer(
  peer: StockPeer,
  to: { readonly remote: OuterIp; readonly remotePort: Port },
): Promise<StockPeer> {
  const moved = { ...peer, ...to };
  await ipBatch(peer.namespace, [`link set ${peer.device} type ipip ${endpoints(moved)}`]);
  return moved;
}

export async function removeStockPeer(peer: StockPeer): Promise<void> {
  await ipBatch(peer.namespace, [
    `link del ${peer.device}`,
    `fou del port ${peer.localPort} local ${peer.local}`,
  ]);
}

/** encap, sport and dport are always given together: a port alone changes the other one's bytes. */
function endpoints(peer: StockPeer): string {
  const checksum = peer.checksum === false ? 'noencap-csum' : 'encap-csum';
  const encap = `encap fou ${checksum} encap-sport ${peer.localPort} encap-dport ${peer.remotePort}`;
  return `local ${peer.local} remote ${peer.remote} ttl 64 ${encap}`;
}

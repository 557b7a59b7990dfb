import { DEFAULT_PEER, type PeerConfig, type TunnelConfig } from './tunnel-config.ts';

/** The peer of a tunnel that has no other; throws for one that has more or none. */
export function solePeer(config: TunnelConfig): PeerConfig {
  const [peer, ...others] = config.peers;
  if (peer === undefined || others.length > 0) throw new RangeError(`${config.peers.length} peers`);
  return peer;
}

/** The peer that the options before the first `peer` line describe, if they do. */
export function defaultPeer(config: TunnelConfig): PeerConfig | undefined {
  // It comes first when it is there at all.
  const [first] = config.peers;
  return first?.id === DEFAULT_PEER ? first : undefined;
}

import { DEFAULT_PEER, type PeerConfig, type TunnelConfig } from './tunnel-config.ts';

/** The peer that the options before the first `peer` line describe, if they do. */
export function defaultPeer(config: Pick<TunnelConfig, 'peers'>): PeerConfig | undefined {
  // It comes first when it is there at all.
  const [first] = config.peers;
  return first?.id === DEFAULT_PEER ? first : undefined;
}

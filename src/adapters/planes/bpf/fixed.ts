import type { Family, Path } from '../../../core/addr.ts';
import { carries } from '../../../core/config/families.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import type { InitKeys } from '../../../core/handshake/keys.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import { flagsOf } from './program-codec.ts';

/** What the programs go by that no peer changes. */
export type Fixed = {
  readonly config: TunnelConfig;
  readonly authLengths: ReadonlySet<number>;
  /** What first messages of session 2 are tested under, if anything. */
  readonly initKeys: () => InitKeys | undefined;
  /** Hears that a tagged packet of a peer came from elsewhere. */
  readonly roamed: (peer: PeerId, path: Path) => void;
  /** Of outer packets: the TTL, or hop limit. */
  readonly ttl: Readonly<Record<Family, number>>;
  /** Families that the tunnel has a port in. */
  readonly outside: readonly Family[];
};

const FAMILIES = ['ipv4', 'ipv6'] as const;

/** What says which flags are set, but for those of peers' inner addresses; `tags`: whether there is room for them. */
export function fixedFlags({ config, outside, initKeys }: Fixed, tags: boolean) {
  return {
    udpChecksum: config.outer.udpChecksum ?? false,
    udpChecksum6: config.outer.udpChecksum ?? true,
    outside,
    inside: FAMILIES.filter((family) => carries(config.inner, family)),
    strangers: config.role === 'server',
    tags,
    initKeys: initKeys(),
  };
}

/** The flags that programs are loaded for: peers' inner addresses may be any. */
export function possibleFlags(fixed: Fixed, tags: boolean): number {
  const any = { hasHosts: true, hasPrefixes: true, hasHosts6: true, hasPrefixes6: true };
  return flagsOf({ ...fixedFlags(fixed, tags), ...any });
}

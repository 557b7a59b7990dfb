import {
  isHostOf,
  familyOf,
  hostPrefix,
  ofFamily,
  parseInnerIp,
  pathKey,
  prefixOf,
  type OuterIp,
  type Prefix,
  type PathKey,
} from '../../../core/addr.ts';
import { capturesOuter } from '../../../core/captures-outer.ts';
import { carries } from '../../../core/config/families.ts';
import { DEFAULT_PEER, type TunnelConfig } from '../../../core/config/tunnel-config.ts';
import {
  pairOf,
  type Admission,
  type GuardPeer,
  type OuterPair,
} from '../../../core/nft/guard-peer.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { PeerId, PlanePeer } from '../../../ports/data-plane.ts';
import type { DeviceAddress } from '../device-address.ts';
import type { PeerRouting } from '../peer-routes.ts';
import { outerOf, routedPrefixes } from '../peer-routing.ts';
import { CounterLedger } from './counter-ledger.ts';
import type { PeerRecord } from './record.ts';
import { TunnelDevice, type DeviceEnvironment, type Pointing } from './tunnel-device.ts';

/** One peer that the plane knows, admitted or not. Its owner changes it; nobody else does. */
export class Peer {
  known: PlanePeer;
  readonly device: TunnelDevice;
  readonly ledger = new CounterLedger();
  readonly #config: TunnelConfig;
  /** Where it is admitted; undefined while it is not. */
  admission: Admission | undefined;
  /** Where its device may point besides, while it is on its way in or out: nothing is admitted there. */
  besides: readonly OuterPair[] = [];
  mtuLimit: number | undefined;

  constructor(known: PlanePeer, device: string, environment: DeviceEnvironment) {
    this.known = known;
    this.#config = environment.config;
    this.device = new TunnelDevice(device, environment);
  }

  /** Where its outer packets go, as far as is known. */
  get outer(): OuterIp | undefined {
    return outerOf({ path: this.admission?.path, remote: this.known.remote });
  }

  get id(): PeerId {
    return this.known.id;
  }

  /** How its device is to be, at `admission`. */
  pointing(admission: Admission): Pointing {
    return {
      path: admission.path,
      local: pairOf(admission).local,
      addresses: this.addresses,
      mtuLimit: this.mtuLimit,
    };
  }

  /** Its routes out of `device`, which was pointed at it. */
  routing(device: IfIndex, outer = this.outer): PeerRouting {
    return { device, prefixes: this.prefixes, mtu: this.device.room?.route, outer };
  }

  /** Prefixes that get a route out of its device. */
  get prefixes(): readonly Prefix[] {
    return devicePrefixes(this.known, this.#config, carries(this.#config.inner, 'ipv6'));
  }

  /** Prefixes that lead nowhere while it is not admitted. */
  get claimed(): readonly Prefix[] {
    return claimedPrefixes(this.known, this.#config, this.outer);
  }

  /** Those of its device: the default peer's IPv4 one has the other end as well, as the description has it. */
  get addresses(): readonly DeviceAddress[] {
    const other = this.id === DEFAULT_PEER ? ofFamily(this.known.innerIps, 'ipv4') : undefined;
    return this.#config.inner.ips.map((ip) => ({
      ip,
      peer: familyOf(ip) === 'ipv4' ? other : undefined,
    }));
  }

  /** What the guard is to know of it. */
  guarded(change: Partial<GuardPeer> = {}): GuardPeer {
    return {
      device: this.device.name,
      innerSources: sourcesOf(this.known, this.#config),
      hint: this.known.hint,
      admission: this.admission,
      besides: this.besides,
      ...change,
    };
  }

  record(admission: Admission | undefined): PeerRecord {
    const { id, device } = this;
    return { id, device: device.name, path: admission?.path, alt: admission?.alt };
  }
}

/**
 * Prefixes that get a route out of a peer's device. To the other end of the device's IPv4 address the kernel
 * makes one itself, which is good where the device has the MTU of the path: where IPv4 is all that is carried.
 */
export function devicePrefixes(
  peer: PlanePeer,
  config: Pick<TunnelConfig, 'table'>,
  carriesIpv6 = false,
): readonly Prefix[] {
  const { id, innerIps } = peer;
  return routedPrefixes(peer, config).filter(
    (prefix) => carriesIpv6 || !(id === DEFAULT_PEER && isHostOf(prefix, innerIps)),
  );
}

/** Whose inner addresses are its own, but for what others have by longer prefixes. */
function sourcesOf(
  { innerIps, allowedIps }: PlanePeer,
  { inner }: Pick<TunnelConfig, 'inner'>,
): readonly Prefix[] {
  if (allowedIps !== 'any') return allowedIps;
  return [
    ...innerIps.map((ip) => hostPrefix(ip)),
    ...EVERYTHING.filter(({ ip }) => carries(inner, familyOf(ip))),
  ];
}

const EVERYTHING: readonly Prefix[] = ['0.0.0.0', '::'].flatMap((text) => {
  const ip = parseInnerIp(text);
  return ip === undefined ? [] : [prefixOf(ip, 0)];
});

/** Prefixes that lead nowhere while their peer is not admitted, of one that takes what is left its own address. */
export function claimedPrefixes(
  peer: PlanePeer,
  config: Pick<TunnelConfig, 'table'>,
  outer: OuterIp | undefined = peer.remote,
): readonly Prefix[] {
  return routedPrefixes(peer, config).filter((prefix) => !capturesOuter(prefix, outer));
}

/** The path of data as it reaches the guard. */
export function dataKey({ path: { local, remote }, alt }: Admission): PathKey {
  return pathKey({ local: { ip: alt ?? local.ip, port: local.port }, remote });
}

/** What is exposed of all peers, service by service and family by family, as rules are made of it. */
import {
  familyOf,
  ofFamily,
  prefixHolds,
  type Family,
  type InnerIp,
  type OuterIp,
  type Prefix,
} from '../addr.ts';
import { familiesAsked, formatExposure, type Exposure } from '../config/exposure.ts';
import type { PeerConfig, PeerId } from '../config/tunnel-config.ts';

/** Of a peer what exposing needs. */
export type ExposingPeer = Pick<PeerConfig, 'id' | 'innerIps' | 'exposed'>;

/** One service, and where its visitors of each family go. */
export type Service = {
  readonly peer: PeerId;
  readonly exposure: Exposure;
  /** As the option spells it. */
  readonly text: string;
  readonly ways: readonly ServiceWay[];
};

export type ServiceWay = {
  readonly family: Family;
  readonly target: InnerIp;
  /** Of that family; none = from anywhere. */
  readonly from: readonly Prefix<OuterIp>[];
};

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** In the order of the peers. */
export function servicesOf(peers: Iterable<ExposingPeer>): readonly Service[] {
  const services: Service[] = [];
  for (const { id, innerIps, exposed } of peers) {
    if (exposed === undefined) continue;
    for (const exposure of exposed.services) {
      const asked = familiesAsked(exposure);
      const ways = FAMILIES.filter((family) => asked === undefined || asked === family).flatMap(
        (family): readonly ServiceWay[] => {
          const target = exposure.targetIp ?? ofFamily(innerIps, family);
          const from = widest(exposed.from.filter(({ ip }) => familyOf(ip) === family));
          // Where only visitors of the other family are let in, this one has none.
          const nobody = exposed.from.length > 0 && from.length === 0;
          return target === undefined || nobody ? [] : [{ family, target, from }];
        },
      );
      services.push({ peer: id, exposure, text: formatExposure(exposure), ways });
    }
  }
  return services;
}

/** Prefixes that no other one holds: a set of nftables takes no overlaps. */
function widest(prefixes: readonly Prefix<OuterIp>[]): readonly Prefix<OuterIp>[] {
  return prefixes.filter(
    (prefix) =>
      !prefixes.some((other) => other.length < prefix.length && prefixHolds(other, prefix.ip)),
  );
}

/** The families that anything is exposed in. */
export function familiesOf(services: readonly Service[]): readonly Family[] {
  return FAMILIES.filter((family) =>
    services.some(({ ways }) => ways.some((way) => way.family === family)),
  );
}

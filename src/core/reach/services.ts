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
import { familiesAsked, formatService, type Exposure } from '../config/exposure.ts';
import type { PeerConfig, PeerId } from '../config/tunnel-config.ts';

/** Of a peer what exposing needs. */
export type ExposingPeer = Pick<PeerConfig, 'id' | 'innerIps' | 'exposed' | 'publicIps'>;

/** An address of the internet's that is a peer's own. */
export type PublicAddress = { readonly peer: PeerId; readonly ip: InnerIp };

export function publicAddressesOf(peers: readonly ExposingPeer[]): readonly PublicAddress[] {
  return peers.flatMap(({ id, publicIps = [] }) => publicIps.map((ip) => ({ peer: id, ip })));
}

/** One service, and where its visitors of each family go. */
export type Service = {
  readonly peer: PeerId;
  readonly exposure: Exposure;
  /** As the option spells it. */
  readonly text: string;
  readonly ways: readonly ServiceWay[];
  /** Families in which it is there and nobody is let in. */
  readonly barred: readonly Family[];
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
    for (const exposure of exposed?.services ?? []) {
      const sources = exposure.limits.from ?? exposed?.from ?? [];
      services.push({
        ...{ peer: id, exposure, text: formatService(exposure) },
        ...waysOf(exposure, sources, innerIps),
      });
    }
  }
  return services;
}

function waysOf(
  exposure: Exposure,
  sources: readonly Prefix<OuterIp>[],
  innerIps: readonly InnerIp[],
): Pick<Service, 'ways' | 'barred'> {
  const asked = familiesAsked(exposure);
  const ways: ServiceWay[] = [];
  const barred: Family[] = [];
  for (const family of FAMILIES) {
    const target = exposure.targetIp ?? ofFamily(innerIps, family);
    if (target === undefined || (asked !== undefined && asked !== family)) continue;
    const from = widest(sources.filter(({ ip }) => familyOf(ip) === family));
    // Where only visitors of the other family are let in, this one has none.
    if (sources.length > 0 && from.length === 0) barred.push(family);
    else ways.push({ family, target, from });
  }
  return { ways, barred };
}

/** Prefixes that no other one holds: a set of nftables takes no overlaps. */
function widest(prefixes: readonly Prefix<OuterIp>[]): readonly Prefix<OuterIp>[] {
  return prefixes.filter(
    (prefix) =>
      !prefixes.some((other) => other.length < prefix.length && prefixHolds(other, prefix.ip)),
  );
}

/** The families that anything is exposed in. */
export function familiesOf(
  services: readonly Service[],
  addresses: readonly PublicAddress[],
): readonly Family[] {
  return FAMILIES.filter(
    (family) =>
      services.some(({ ways }) => ways.some((way) => way.family === family)) ||
      addresses.some(({ ip }) => familyOf(ip) === family),
  );
}

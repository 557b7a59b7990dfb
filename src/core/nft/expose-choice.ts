/**
 * Which exposed service a packet is for: by address, by port, or as what nothing else on this host has. It is asked
 * twice: of what begins, which has a rate, and of whose destination is changed.
 */
import { familyOf, type Family, type InnerIp, type Ip, type OuterIp } from '../addr.ts';
import type { Exposure, Transport } from '../config/exposure.ts';
import type { Service } from '../reach/services.ts';
import type { Port } from '../units.ts';

/** Of this one nobody must be locked out, not even while its server is started anew. */
export const SSH = 22;

export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
export const PROTOCOLS: readonly Transport[] = ['tcp', 'udp'];

/** What is to choose. */
export type Choice = {
  /** Before the names of its chains. */
  readonly name: string;
  readonly services: readonly Service[];
  /** Addresses of this host inside the tunnel: what is sent to them is not meant for the public ones. */
  readonly innerIps: readonly InnerIp[];
  /** The tunnel's own. */
  readonly localPort: Port;
  /** Where a service's packets go; undefined: nowhere, and no other service has them. */
  readonly chainOf: (service: Service) => string | undefined;
};

export type Chosen = {
  readonly chains: readonly { readonly name: string; readonly rules: readonly string[] }[];
  /** Of what comes to this host, the rules that lead there. */
  readonly entry: readonly string[];
  /** The same of what is left then. */
  readonly rest: readonly string[];
};

/** What such a choice may call its chains; that of the rest stays when it is empty. */
export function chainsOfChoice(name: string): readonly string[] {
  return ['address', 'any', 'rest'].map((part) => `${name}-${part}`);
}

export function choose(choice: Choice): Chosen {
  const { name, services, innerIps } = choice;
  const { at, any, all } = parted(services);
  return {
    chains: [
      { name: `${name}-address`, rules: publicIpsOf(at).flatMap((ip) => mapsAt(ip, at, choice)) },
      { name: `${name}-any`, rules: mapsOf(any, choice) },
      ...(all.length === 0 ? [] : [{ name: `${name}-rest`, rules: restRules(choice, all) }]),
    ],
    entry: [
      ...addressesIn(innerIps, 'return'),
      ...addressesIn(publicIpsOf(at), `jump ${name}-address`),
      ...portsOf(any).map((ports) => `${ports} fib daddr type local jump ${name}-any`),
    ],
    rest: all.length === 0 ? [] : [`meta l4proto { tcp, udp } jump ${name}-rest`],
  };
}

/** By name at an address, by name at any, and all ports, of which an address by name goes before any. */
export function parted(
  services: readonly Service[],
): Readonly<Record<'at' | 'any' | 'all', readonly Service[]>> {
  const named = services.filter(({ exposure }) => exposure.protocol !== 'all');
  return {
    at: named.filter(({ exposure }) => exposure.publicIp !== undefined),
    any: named.filter(({ exposure }) => exposure.publicIp === undefined),
    all: services
      .filter(({ exposure }) => exposure.protocol === 'all')
      .toSorted((a, b) => Number(!a.exposure.publicIp) - Number(!b.exposure.publicIp)),
  };
}

export function addressesIn(ips: readonly string[], verdict: string): readonly string[] {
  const of = (family: Family): readonly string[] => [
    ...new Set(ips.filter((ip) => ip.includes(':') === (family === 'ipv6'))),
  ];
  return FAMILIES.flatMap((family) => {
    const found = of(family);
    return found.length === 0
      ? []
      : [`${family === 'ipv4' ? 'ip' : 'ip6'} daddr { ${found.join(', ')} } ${verdict}`];
  });
}

/** The services of each family and protocol, where there are any: within one, no ports overlap. */
export function byKind(services: readonly Service[]): readonly {
  readonly family: Family;
  readonly protocol: Transport;
  readonly members: readonly Service[];
}[] {
  return FAMILIES.flatMap((family) =>
    PROTOCOLS.flatMap((protocol) => {
      const members = services.filter(
        ({ exposure, ways, barred }) =>
          exposure.protocol === protocol &&
          (ways.some((way) => way.family === family) || barred.includes(family)),
      );
      return members.length === 0 ? [] : [{ family, protocol, members }];
    }),
  );
}

/** What chooses the packets to look at closer. */
function portsOf(services: readonly Service[]): readonly string[] {
  return byKind(services).map(({ family, protocol, members }) => {
    const ports = members.map(({ exposure }) => portText(exposure)).join(', ');
    return `meta nfproto ${family} ${protocol} dport { ${ports} }`;
  });
}

export function portText({ first, last }: Exposure): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

/** Which chain takes what comes to which port. */
function mapsOf(services: readonly Service[], choice: Choice): readonly string[] {
  return byKind(services).map(({ family, protocol, members }) => {
    const pairs = members.map((service) => {
      const verdict = service.barred.includes(family) ? 'accept' : verdictOf(service, choice);
      return `${portText(service.exposure)} : ${verdict}`;
    });
    return `meta nfproto ${family} ${protocol} dport vmap { ${pairs.join(', ')} }`;
  });
}

function verdictOf(service: Service, { chainOf }: Choice): string {
  const chain = chainOf(service);
  return chain === undefined ? 'accept' : `goto ${chain}`;
}

function mapsAt(ip: OuterIp, services: readonly Service[], choice: Choice): readonly string[] {
  const there = services.filter(({ exposure }) => exposure.publicIp === ip);
  return mapsOf(there, choice).map((rule) => `${destination(ip)} ${rule}`);
}

/** What nothing on this host has: what a socket takes, and what must come in whatever listens, goes no further. */
function restRules(choice: Choice, all: readonly Service[]): readonly string[] {
  return [
    `tcp dport ${SSH} return`,
    `udp dport ${choice.localPort} return`,
    'socket wildcard 0 return',
    'socket wildcard 1 return',
    ...all.flatMap((service) => {
      const { publicIp } = service.exposure;
      const verdict = verdictOf(service, choice);
      if (publicIp !== undefined) return [`${destination(publicIp)} ${verdict}`];
      return service.ways.map(
        ({ family }) => `meta nfproto ${family} fib daddr type local ${verdict}`,
      );
    }),
  ];
}

function publicIpsOf(services: readonly Service[]): readonly OuterIp[] {
  return [...new Set(services.flatMap(({ exposure }) => exposure.publicIp ?? []))];
}

function destination(ip: Ip): string {
  return `${familyOf(ip) === 'ipv4' ? 'ip' : 'ip6'} daddr ${ip}`;
}

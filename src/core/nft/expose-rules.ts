/**
 * Rules that send visitors of exposed services on to peers. A visitor's first packet meets the nat chains
 * (prerouting; output for this host itself), which change its destination and not its source; conntrack
 * does the same with the rest, and the reverse with answers. The forward chain counts, and where this program has
 * switched forwarding on, keeps all else out of the tunnel; what goes into it has segments that fit.
 */
import { familyOf, type Family, type InnerIp, type Ip, type OuterIp } from '../addr.ts';
import type { Exposure, Transport } from '../config/exposure.ts';
import type { PublicAddress, Service } from '../reach/services.ts';
import type { Port } from '../units.ts';
import { countersOf, countersOfAddress } from './expose-counters.ts';
import { chainOf, serviceRules, VISITOR_SETS, visitorSet } from './expose-service.ts';

export type ExposeRules = {
  readonly table: string;
  /** The tunnel device; on `fou` those of peers have its name and a number. */
  readonly device: string;
  /** Addresses of this host inside the tunnel: what is sent to them is not meant for the public ones. */
  readonly innerIps: readonly InnerIp[];
  readonly services: readonly Service[];
  readonly addresses: readonly PublicAddress[];
  /** The families in which this host forwarded nothing before. */
  readonly closed: readonly Family[];
  /** The tunnel's own. */
  readonly localPort: Port;
  /** What is there and no longer wanted (staleObjects). */
  readonly stale: readonly ExposeObject[];
};

/** Something in a table that has a name. */
export type ExposeObject = { readonly kind: string; readonly name: string };

/** Of this one nobody must be locked out, not even while its server is started anew. */
export const SSH = 22;

/** One transaction that makes the table what it is to be; counters that stay keep what they have counted. */
export function exposeScript(rules: ExposeRules): string {
  const { table, services, innerIps } = rules;
  const named = services.filter(({ exposure }) => exposure.protocol !== 'all');
  const at = named.filter(({ exposure }) => exposure.publicIp !== undefined);
  const any = named.filter(({ exposure }) => exposure.publicIp === undefined);
  // An address by name goes before any.
  const all = services
    .filter(({ exposure }) => exposure.protocol === 'all')
    .toSorted((a, b) => Number(!a.exposure.publicIp) - Number(!b.exposure.publicIp));
  const { addresses } = rules;
  const { counters, sets } = objectsOf(services, addresses);
  const entry = [
    ...addressesIn(innerIps, 'return'),
    ...addressesIn(publicIpsOf(at), 'jump at-address'),
    ...portsOf(any).map((ports) => `${ports} fib daddr type local jump at-any`),
  ];
  return [
    `add table inet ${table}`,
    `flush table inet ${table}`,
    ...rules.stale.map(({ kind, name }) => `delete ${kind} inet ${table} ${name}`),
    ...counters.map((name) => `add counter inet ${table} ${name}`),
    ...sets.map(({ name, family }) => `add set inet ${table} ${name} ${visitorSet(family)}`),
    ...services.flatMap((service) =>
      chain(table, chainOf(service), undefined, serviceRules(service)),
    ),
    ...chain(
      table,
      'at-address',
      undefined,
      publicIpsOf(at).flatMap((ip) => mapsAt(ip, at)),
    ),
    ...chain(table, 'at-any', undefined, mapsOf(any)),
    ...(all.length === 0 ? [] : chain(table, 'at-rest', undefined, restRules(rules, all))),
    ...chain(table, 'arriving', 'type nat hook prerouting priority dstnat - 10', [
      ...entry,
      ...(all.length === 0 ? [] : [`meta l4proto { tcp, udp } jump at-rest`]),
    ]),
    ...chain(table, 'from-here', 'type nat hook output priority -110', [
      'ip daddr 127.0.0.0/8 return',
      'ip6 daddr ::1 return',
      ...entry,
    ]),
    ...chain(table, 'counted', undefined, [
      ...addresses.flatMap(addressRules),
      ...rules.closed.map((family) => `meta nfproto ${family} ct status & dnat != dnat drop`),
      'ct status & dnat != dnat return',
      ...at.flatMap(countRule),
      ...countMaps(any),
      ...countRest(any, all),
    ]),
    ...chain(table, 'passing', 'type filter hook forward priority filter + 10', [
      ...devicesOf(rules.device).flatMap((name) => [
        `iifname "${name}" goto counted`,
        `oifname "${name}" goto counted`,
      ]),
      // While its peer is not there it is nobody's.
      ...addressesIn(
        addresses.map(({ ip }) => ip),
        'drop',
      ),
    ]),
    // A connection of this host's own began towards the loopback device, whose segments are long.
    ...chain(table, 'fitted', undefined, [
      `ct status & dnat == dnat ${SEGMENTS}`,
      ...addressesIn(
        addresses.map(({ ip }) => ip),
        SEGMENTS,
      ),
    ]),
    // A peer that is not there has no route: its visitors must not be led elsewhere.
    ...chain(table, 'leaving', 'type filter hook postrouting priority mangle', [
      ...devicesOf(rules.device).map((name) => `oifname "${name}" goto fitted`),
      ...addressesIn(
        services.flatMap(({ ways }) => ways.map(({ target }) => target)),
        'ct status & dnat == dnat ct direction original drop',
      ),
    ]),
    '',
  ].join('\n');
}

/** What of the table has a name by its services, apart from its rules. */
function objectsOf(
  services: readonly Service[],
  addresses: readonly PublicAddress[],
): {
  readonly counters: readonly string[];
  readonly chains: readonly string[];
  readonly sets: readonly { readonly name: string; readonly family: Family }[];
} {
  return {
    counters: [
      ...services.flatMap((service) => Object.values(countersOf(service))),
      ...addresses.flatMap((address) => Object.values(countersOfAddress(address))),
    ],
    chains: services.map(chainOf),
    sets: FAMILIES.map((family) => ({ name: VISITOR_SETS[family], family })),
  };
}

/** Of what is in the table, what these services have no use for. */
export function staleObjects(
  there: readonly ExposeObject[],
  services: readonly Service[],
  addresses: readonly PublicAddress[],
): readonly ExposeObject[] {
  const { counters, chains } = objectsOf(services, addresses);
  const wanted = { counter: new Set(counters), chain: new Set([...chains, ...CHAINS]) };
  return there.filter(
    ({ kind, name }) => (kind === 'counter' || kind === 'chain') && !wanted[kind].has(name),
  );
}

/** Those that every table has; `at-rest` stays when it is empty. */
const CHAINS = [
  ...['at-address', 'at-any', 'at-rest', 'arriving', 'from-here'],
  ...['counted', 'passing', 'fitted', 'leaving'],
];

const SEGMENTS = 'tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu';

function chain(
  table: string,
  name: string,
  hook: string | undefined,
  rules: readonly string[],
): readonly string[] {
  const base = hook === undefined ? '' : ` { ${hook}; policy accept; }`;
  return [
    `add chain inet ${table} ${name}${base}`,
    ...rules.map((rule) => `add rule inet ${table} ${name} ${rule}`),
  ];
}

/** IFNAMSIZ less what a number of a peer's device may take (fou/device-names.ts). */
const NAME_LEFT = 9;

/** The tunnel device and those of its peers, as nft matches names. */
export function devicesOf(device: string): readonly string[] {
  // A name without room loses its end to the number.
  const start = device.length > NAME_LEFT ? device.slice(0, NAME_LEFT) : `${device}-`;
  return [device, `${start}*`];
}

function addressesIn(ips: readonly string[], verdict: string): readonly string[] {
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

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
const PROTOCOLS: readonly Transport[] = ['tcp', 'udp'];

/** The services of each family and protocol, where there are any: within one, no ports overlap. */
function byKind(services: readonly Service[]): readonly {
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

function portText({ first, last }: Exposure): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

/** Which chain takes what comes to which port. */
function mapsOf(services: readonly Service[]): readonly string[] {
  return byKind(services).map(({ family, protocol, members }) => {
    const pairs = members.map((service) => {
      const verdict = service.barred.includes(family) ? 'accept' : `goto ${chainOf(service)}`;
      return `${portText(service.exposure)} : ${verdict}`;
    });
    return `meta nfproto ${family} ${protocol} dport vmap { ${pairs.join(', ')} }`;
  });
}

function mapsAt(ip: OuterIp, services: readonly Service[]): readonly string[] {
  const there = services.filter(({ exposure }) => exposure.publicIp === ip);
  return mapsOf(there).map((rule) => `${destination(ip)} ${rule}`);
}

/** What nothing on this host has: what a socket takes, and what must come in whatever listens, goes no further. */
function restRules({ localPort }: ExposeRules, all: readonly Service[]): readonly string[] {
  return [
    `tcp dport ${SSH} return`,
    `udp dport ${localPort} return`,
    'socket wildcard 0 return',
    'socket wildcard 1 return',
    ...all.flatMap((service) => {
      const { publicIp } = service.exposure;
      if (publicIp !== undefined) return [`${destination(publicIp)} goto ${chainOf(service)}`];
      return service.ways.map(
        ({ family }) => `meta nfproto ${family} fib daddr type local goto ${chainOf(service)}`,
      );
    }),
  ];
}

/** In and out: what is a peer's own address is forwarded whatever else is not. */
function addressRules(address: PublicAddress): readonly string[] {
  const { connections, bytes } = countersOfAddress(address);
  const ip = familyOf(address.ip) === 'ipv4' ? 'ip' : 'ip6';
  return [
    `${ip} daddr ${address.ip} ct state new counter name "${connections}"`,
    `${ip} daddr ${address.ip} counter name "${bytes}" return`,
    `${ip} saddr ${address.ip} counter name "${bytes}" return`,
  ];
}

function publicIpsOf(services: readonly Service[]): readonly OuterIp[] {
  return [...new Set(services.flatMap(({ exposure }) => exposure.publicIp ?? []))];
}

function destination(ip: Ip): string {
  return `${familyOf(ip) === 'ipv4' ? 'ip' : 'ip6'} daddr ${ip}`;
}

function countRule(service: Service): readonly string[] {
  const { publicIp, protocol } = service.exposure;
  if (publicIp === undefined) return [];
  const ip = familyOf(publicIp) === 'ipv4' ? 'ip' : 'ip6';
  const ports = `meta l4proto ${protocol} ct original proto-dst ${portText(service.exposure)}`;
  return [
    `ct original ${ip} daddr ${publicIp} ${ports} counter name "${countersOf(service).bytes}" return`,
  ];
}

/** One look for all services of a kind: this is done for every packet. */
function countMaps(services: readonly Service[]): readonly string[] {
  return byKind(services).map(({ family, protocol, members }) => {
    const pairs = members
      .map((service) => `${portText(service.exposure)} : "${countersOf(service).bytes}"`)
      .join(', ');
    return `meta nfproto ${family} meta l4proto ${protocol} counter name ct original proto-dst map { ${pairs} }`;
  });
}

/** What is left by those that have their ports by name. */
function countRest(named: readonly Service[], all: readonly Service[]): readonly string[] {
  const kinds = byKind(named);
  return all.flatMap((service) =>
    service.ways.flatMap(({ family }) =>
      PROTOCOLS.map((protocol) => {
        const members =
          kinds.find((kind) => kind.family === family && kind.protocol === protocol)?.members ?? [];
        const ports = members.map(({ exposure }) => portText(exposure)).join(', ');
        const { publicIp } = service.exposure;
        const ip = family === 'ipv4' ? 'ip' : 'ip6';
        return [
          `meta nfproto ${family} meta l4proto ${protocol}`,
          ...(publicIp === undefined ? [] : [`ct original ${ip} daddr ${publicIp}`]),
          ...(ports === '' ? [] : [`ct original proto-dst != { ${ports} }`]),
          `counter name "${countersOf(service).bytes}" return`,
        ].join(' ');
      }),
    ),
  );
}

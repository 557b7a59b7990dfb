/**
 * Rules that send visitors of exposed services on to peers. What begins is counted before anything else is done with
 * it, so that a flood costs no more than that. A visitor's first packet meets the nat chains
 * (prerouting; output for this host itself), which change its destination and not its source; conntrack
 * does the same with the rest, and the reverse with answers. The forward chain counts, and where this program has
 * switched forwarding on, keeps all else out of the tunnel, and claims the rest of it before other tunnels' tables; what goes into it has segments that fit.
 */
import { familyOf, type Family, type InnerIp } from '../addr.ts';
import type { PublicAddress, Service } from '../reach/services.ts';
import type { Port } from '../units.ts';
import { CLAIM_CHAINS, claimChains } from './closed-rules.ts';
import {
  addressesIn,
  byKind,
  chainsOfChoice,
  choose,
  FAMILIES,
  parted,
  portText,
  PROTOCOLS,
  type Chosen,
} from './expose-choice.ts';
import { countersOf, countersOfAddress } from './expose-counters.ts';
import { flowSets, knownRules } from './expose-flows.ts';
import {
  chainOf,
  FIRST_SEGMENT,
  isLimited,
  rateChainOf,
  rateRules,
  serviceRules,
  VISITOR_SETS,
  visitorSet,
} from './expose-service.ts';

export type ExposeRules = {
  readonly table: string;
  /** The tunnel device; on `fou` those of peers have its name and a number. */
  readonly device: string;
  /** Addresses of this host inside the tunnel: what is sent to them is not meant for the public ones. */
  readonly innerIps: readonly InnerIp[];
  readonly services: readonly Service[];
  readonly addresses: readonly PublicAddress[];
  /** The families that this host forwards for tunnels' sake alone. */
  readonly closed: readonly Family[];
  /** The tunnel's own. */
  readonly localPort: Port;
  /** What is there and no longer wanted (staleObjects). */
  readonly stale: readonly ExposeObject[];
};

/** Something in a table that has a name. */
export type ExposeObject = { readonly kind: string; readonly name: string };

/** One transaction that makes the table what it is to be; counters that stay keep what they have counted. */
export function exposeScript(rules: ExposeRules): string {
  const { table, services } = rules;
  const { any, at, all } = parted(services);
  const { addresses } = rules;
  const { counters, sets } = objectsOf(services, addresses);
  const chosen = choose({ ...rules, name: 'at', chainOf });
  const begun = choose({ ...rules, name: 'begun', chainOf: rateChainOf });
  const limited = services.filter(isLimited);
  const known = knownRules(limited, rules.localPort);
  const chains = ({ chains }: Chosen): readonly string[] =>
    chains.flatMap(({ name, rules }) => chain(table, name, undefined, rules));
  return [
    `add table inet ${table}`,
    `flush table inet ${table}`,
    ...rules.stale.map(({ kind, name }) => `delete ${kind} inet ${table} ${name}`),
    ...counters.map((name) => `add counter inet ${table} ${name}`),
    ...sets.map(({ name, made }) => `add set inet ${table} ${name} ${made}`),
    ...services.flatMap((service) => {
      const rate = rateChainOf(service);
      return rate === undefined ? [] : chain(table, rate, undefined, rateRules(service, limited));
    }),
    ...chains(begun),
    ...chain(table, 'begun', undefined, [...begun.entry, ...begun.rest]),
    ...chain(table, 'datagrams', undefined, known.length === 0 ? [] : [...known, 'goto begun']),
    // Before conntrack, where a packet that is refused would cost the most.
    ...chain(table, 'beginning', 'type filter hook prerouting priority raw', [
      `${FIRST_SEGMENT} goto begun`,
      ...(known.length === 0 ? [] : ['meta l4proto udp goto datagrams']),
    ]),
    ...services.flatMap((service) =>
      chain(table, chainOf(service), undefined, serviceRules(service)),
    ),
    ...chains(chosen),
    ...chain(table, 'arriving', 'type nat hook prerouting priority dstnat - 10', [
      ...chosen.entry,
      ...chosen.rest,
    ]),
    ...chain(table, 'from-here', 'type nat hook output priority -110', [
      'ip daddr 127.0.0.0/8 return',
      'ip6 daddr ::1 return',
      ...chosen.entry,
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
    ...claimChains(devicesOf(rules.device), rules.closed).flatMap(([name, base, claims]) => [
      `add chain inet ${table} ${name} ${base}`,
      ...claims.map((claim) => `add rule inet ${table} ${name} ${claim}`),
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
  readonly sets: readonly { readonly name: string; readonly made: string }[];
} {
  return {
    counters: [
      ...services.flatMap((service) => Object.values(countersOf(service))),
      ...addresses.flatMap((address) => Object.values(countersOfAddress(address))),
    ],
    chains: services.flatMap((service) => [chainOf(service), rateChainOf(service) ?? []].flat()),
    sets: [
      ...FAMILIES.map((family) => ({ name: VISITOR_SETS[family], made: visitorSet(family) })),
      ...flowSets(services.filter(isLimited)),
    ],
  };
}

/** Of what is in the table, what these services have no use for. */
export function staleObjects(
  there: readonly ExposeObject[],
  services: readonly Service[],
  addresses: readonly PublicAddress[],
): readonly ExposeObject[] {
  const { counters, chains, sets } = objectsOf(services, addresses);
  const wanted = new Map([
    ['counter', new Set(counters)],
    ['chain', new Set([...chains, ...CHAINS])],
    ['set', new Set(sets.map(({ name }) => name))],
  ]);
  return there.filter(({ kind, name }) => wanted.get(kind)?.has(name) === false);
}

/** Those that every table has. */
const CHAINS = [
  ...[...chainsOfChoice('begun'), ...chainsOfChoice('at')],
  ...['begun', 'datagrams', 'beginning', 'arriving', 'from-here'],
  ...['counted', 'passing', 'fitted', 'leaving', ...CLAIM_CHAINS],
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

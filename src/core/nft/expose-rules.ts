/**
 * Rules that send visitors of exposed services on to peers. A visitor's first packet meets the nat chains
 * (prerouting; output for this host itself), which change its destination and not its source; conntrack
 * does the same with the rest, and the reverse with answers. The forward chain counts, and where this program has
 * switched forwarding on, keeps all else out of the tunnel; what goes into it has segments that fit.
 */
import type { Family, InnerIp } from '../addr.ts';
import { familyOf, formatPrefix } from '../addr.ts';
import { bracketed, parseExposure, type Exposure } from '../config/exposure.ts';
import type { Service, ServiceWay } from '../reach/services.ts';

export type ExposeRules = {
  readonly table: string;
  /** The tunnel device; on `fou` those of peers have its name and a number. */
  readonly device: string;
  /** Addresses of this host inside the tunnel: what is sent to them is not meant for the public ones. */
  readonly innerIps: readonly InnerIp[];
  readonly services: readonly Service[];
  /** The families in which this host forwarded nothing before. */
  readonly closed: readonly Family[];
  /** Counters that are there and no longer wanted. */
  readonly stale: readonly string[];
};

/** Names of the two counters of a service. */
export function countersOf({ peer, exposure }: Service): { connections: string; bytes: string } {
  const { publicIp, protocol, first, last } = exposure;
  const at = publicIp === undefined ? '' : `-${publicIp.replaceAll(':', '_')}`;
  const name = `${peer}-${protocol}/${first}${last === first ? '' : `-${last}`}${at}`;
  return { connections: `n-${name}`, bytes: `b-${name}` };
}

const counterName = /^n-.*-(tcp|udp)\/(\d+)(?:-(\d+))?(?:-([0-9a-f._]+))?$/;

/** What a counter of connections counts, which may be another tunnel's; undefined of any other name. */
export function countedService(name: string): Exposure | undefined {
  const [, protocol, firstText = '', lastText = firstText, at] = counterName.exec(name) ?? [];
  if (protocol === undefined) return undefined;
  return parseExposure(
    [
      ...(at === undefined ? [] : [at.includes('_') ? `[${at.replaceAll('_', ':')}]:` : `${at}:`]),
      `${protocol}/${firstText}-${lastText}`,
    ].join(''),
  );
}

/** One transaction that makes the table what it is to be; counters that stay keep what they have counted. */
export function exposeScript(rules: ExposeRules): string {
  const { table, services, innerIps } = rules;
  const at = services.filter(({ exposure }) => exposure.publicIp !== undefined);
  const any = services.filter(({ exposure }) => exposure.publicIp === undefined);
  const counters = services.flatMap((service) => Object.values(countersOf(service)));
  const entry = [
    ...addressesIn(innerIps, 'return'),
    ...addressesIn(
      at.flatMap(({ exposure }) => exposure.publicIp ?? []),
      'jump at-address',
    ),
    ...portsOf(any).map((ports) => `${ports} fib daddr type local jump at-any`),
  ];
  return [
    `add table inet ${table}`,
    `flush table inet ${table}`,
    ...rules.stale.map((name) => `delete counter inet ${table} ${name}`),
    ...counters.map((name) => `add counter inet ${table} ${name}`),
    ...chain(table, 'at-address', undefined, at.flatMap(natRules)),
    ...chain(table, 'at-any', undefined, any.flatMap(natRules)),
    ...chain(table, 'arriving', 'type nat hook prerouting priority dstnat - 10', entry),
    ...chain(table, 'from-here', 'type nat hook output priority -110', [
      'ip daddr 127.0.0.0/8 return',
      'ip6 daddr ::1 return',
      ...entry,
    ]),
    ...chain(table, 'counted', undefined, [
      ...rules.closed.map((family) => `meta nfproto ${family} ct status & dnat != dnat drop`),
      'ct status & dnat != dnat return',
      ...at.flatMap(countRule),
      ...countMaps(any),
    ]),
    ...chain(
      table,
      'passing',
      'type filter hook forward priority filter + 10',
      devicesOf(rules.device).flatMap((name) => [
        `iifname "${name}" goto counted`,
        `oifname "${name}" goto counted`,
      ]),
    ),
    // A connection of this host's own began towards the loopback device, whose segments are long.
    ...chain(table, 'fitted', undefined, [SEGMENTS]),
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

const SEGMENTS =
  'ct status & dnat == dnat tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu';

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

function devicesOf(device: string): readonly string[] {
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
const PROTOCOLS: readonly Exposure['protocol'][] = ['tcp', 'udp'];

/** The services of each family and protocol, where there are any: within one, no ports overlap. */
function byKind(services: readonly Service[]): readonly {
  readonly family: Family;
  readonly protocol: Exposure['protocol'];
  readonly members: readonly Service[];
}[] {
  return FAMILIES.flatMap((family) =>
    PROTOCOLS.flatMap((protocol) => {
      const members = services.filter(
        ({ exposure, ways }) =>
          exposure.protocol === protocol && ways.some((way) => way.family === family),
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

function natRules(service: Service): readonly string[] {
  return service.ways.map((way) => natRule(service, way));
}

function natRule(service: Service, { family, target, from }: ServiceWay): string {
  const { exposure } = service;
  const ip = family === 'ipv4' ? 'ip' : 'ip6';
  const { publicIp, protocol, targetPort } = exposure;
  return [
    `meta nfproto ${family}`,
    ...(publicIp === undefined ? [] : [`${ip} daddr ${publicIp}`]),
    ...(from.length === 0 ? [] : [`${ip} saddr { ${from.map(formatPrefix).join(', ')} }`]),
    `${protocol} dport ${portText(exposure)}`,
    `counter name "${countersOf(service).connections}"`,
    `dnat ${ip} to ${targetPort === undefined ? target : `${bracketed(target)}:${targetPort}`}`,
  ].join(' ');
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

/** What happens to a visitor's first packet once its service is known: limits, then the new destination. */
import { formatPrefix, type Family } from '../addr.ts';
import { EXPOSED_RATE, VISITORS, VISITOR_SHARE } from '../budgets.ts';
import { bracketed } from '../config/exposure.ts';
import type { Service, ServiceWay } from '../reach/services.ts';
import { countersOf, nameOf } from './expose-counters.ts';
import { remember } from './expose-flows.ts';

/** Sets of the visitors that begin connections, each with its budget. */
export const VISITOR_SETS: Readonly<Record<Family, string>> = {
  ipv4: 'visitors',
  ipv6: 'visitors6',
};

/** What such a set is made with. */
export function visitorSet(family: Family): string {
  const { size, timeout } = VISITORS;
  const type = `${family}_addr . inet_proto . inet_service`;
  return `{ type ${type}; size ${size}; flags dynamic,timeout; timeout ${timeout}s; }`;
}

/** The chain of a service. */
export function chainOf(service: Service): string {
  return `to-${nameOf(service)}`;
}

/** The chain of what begins at a service, if there is a limit to that. */
export function rateChainOf(service: Service): string | undefined {
  return isLimited(service) ? `rate-${nameOf(service)}` : undefined;
}

export function isLimited(service: Service): boolean {
  return rateOf(service) !== 'none';
}

/** What a connection of TCP begins with. */
export const FIRST_SEGMENT = 'tcp flags & (fin | syn | rst | ack) == syn';

/** A service's rules. To accept is to leave the packet as it is, for other chains and for this host. */
export function serviceRules(service: Service): readonly string[] {
  const { protocol, limits } = service.exposure;
  const rate = rateChainOf(service);
  const { connections } = limits;
  return [
    ...sourceRules(service),
    // What begins has met its rate before; a segment that is no beginning would else have none.
    ...(rate === undefined || protocol === 'udp'
      ? []
      : [`tcp flags & (fin | syn | rst | ack) != syn jump ${rate}`]),
    ...(connections === undefined ? [] : [`ct count over ${connections} ${refuse(service)}`]),
    ...service.ways.map((way) => natRule(service, way)),
  ];
}

/** Rules of its rate, as one of those that have one. */
export function rateRules(service: Service, limited: readonly Service[]): readonly string[] {
  const { exposure, ways } = service;
  const rate = rateOf(service);
  if (rate === 'none') return [];
  const share = Math.ceil(rate * VISITOR_SHARE);
  const over = [
    ...ways.map(({ family }) => {
      // A service of many ports is one.
      const key = `${visitorOf(family)} . meta l4proto . th dport & 0x0 | ${exposure.first}`;
      return `meta nfproto ${family} update @${VISITOR_SETS[family]} { ${key} ${limit(share)} }`;
    }),
    limit(rate),
  ];
  return [
    ...sourceRules(service),
    ...over.map((rule) => `${rule} ${refuse(service)}`),
    ...remember(service, limited),
  ];
}

function sourceRules({ ways }: Service): readonly string[] {
  return ways.flatMap(({ family, from }) => {
    if (from.length === 0) return [];
    return [`${sourceOf(family)} != { ${from.map(formatPrefix).join(', ')} } accept`];
  });
}

function rateOf({ exposure }: Service): number | 'none' {
  return exposure.limits.rate ?? EXPOSED_RATE.perSecond;
}

function refuse(service: Service): string {
  return `counter name "${countersOf(service).refused}" drop`;
}

/** A second's worth may come at once. */
function limit(rate: number): string {
  return `limit rate over ${rate}/second burst ${rate} packets`;
}

function visitorOf(family: Family): string {
  return family === 'ipv4' ? 'ip saddr' : 'ip6 saddr & ffff:ffff:ffff:ffff::';
}

function sourceOf(family: Family): string {
  return family === 'ipv4' ? 'ip saddr' : 'ip6 saddr';
}

function natRule(service: Service, { family, target }: ServiceWay): string {
  const { protocol, targetPort } = service.exposure;
  return [
    `meta nfproto ${family}`,
    ...(targetPort === undefined ? [] : [`meta l4proto ${protocol}`]),
    `counter name "${countersOf(service).connections}"`,
    `dnat ${family === 'ipv4' ? 'ip' : 'ip6'} to`,
    targetPort === undefined ? target : `${bracketed(target)}:${targetPort}`,
  ].join(' ');
}

/** What happens to a visitor's first packet once its service is known: limits, then the new destination. */
import { formatPrefix, type Family } from '../addr.ts';
import { EXPOSED_RATE, VISITORS, VISITOR_SHARE } from '../budgets.ts';
import { bracketed } from '../config/exposure.ts';
import type { Service, ServiceWay } from '../reach/services.ts';
import { countersOf, nameOf } from './expose-counters.ts';

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

/** Its rules. To accept is to leave the packet as it is, for other chains and for this host. */
export function serviceRules(service: Service): readonly string[] {
  return [
    ...service.ways.flatMap(({ family, from }) => {
      if (from.length === 0) return [];
      const sources = from.map(formatPrefix).join(', ');
      return [`${sourceOf(family)} != { ${sources} } accept`];
    }),
    ...limitRules(service),
    ...service.ways.map((way) => natRule(service, way)),
  ];
}

function limitRules(service: Service): readonly string[] {
  const { rate = EXPOSED_RATE.perSecond, connections } = service.exposure.limits;
  const refuse = `counter name "${countersOf(service).refused}" drop`;
  return [
    ...(rate === 'none' ? [] : rateRules(service, rate).map((rule) => `${rule} ${refuse}`)),
    ...(connections === undefined ? [] : [`ct count over ${connections} ${refuse}`]),
  ];
}

function rateRules({ exposure, ways }: Service, rate: number): readonly string[] {
  const share = Math.ceil(rate * VISITOR_SHARE);
  return [
    ...ways.map(({ family }) => {
      // A service of many ports is one.
      const key = `${visitorOf(family)} . meta l4proto . th dport & 0x0 | ${exposure.first}`;
      return `meta nfproto ${family} update @${VISITOR_SETS[family]} { ${key} ${limit(share)} }`;
    }),
    limit(rate),
  ];
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

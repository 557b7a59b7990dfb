/**
 * What comes by UDP has no first segment to tell what begins, and conntrack, which could tell, makes an entry to do so. So
 * flows that were let in are remembered here, in sets of a bounded size, and pass; what is left begins, and meets its
 * service's rate before conntrack does.
 */
import type { Family } from '../addr.ts';
import { FLOWS } from '../budgets.ts';
import type { Service } from '../reach/services.ts';
import type { Port } from '../units.ts';

const FLOW_SETS: Readonly<Record<Family, string>> = { ipv4: 'flows', ipv6: 'flows6' };

/** The sets of the families in which something that takes UDP has a rate. */
export function flowSets(
  limited: readonly Service[],
): readonly { readonly name: string; readonly made: string; readonly family: Family }[] {
  const families = new Set(
    limited.filter(takesUdp).flatMap(({ ways }) => ways.map(({ family }) => family)),
  );
  const { size, timeout } = FLOWS;
  return [...families].map((family) => ({
    ...{ name: FLOW_SETS[family], family },
    made: `{ type ${family}_addr . inet_service . ${family}_addr . inet_service; size ${size}; flags dynamic,timeout; timeout ${timeout}s; }`,
  }));
}

/** What passes, whatever the rates are. */
export function knownRules(limited: readonly Service[], localPort: Port): readonly string[] {
  const sets = flowSets(limited);
  if (sets.length === 0) return [];
  return [
    `udp dport ${localPort} accept`,
    ...sets.map(({ name, family }) => {
      const flow = flowOf(family);
      return `${flow} @${name} update @${name} { ${flow} } accept`;
    }),
  ];
}

/** Remembers what a service has let in. One that is flooded leaves the others their part of the sets. */
export function remember(service: Service, limited: readonly Service[]): readonly string[] {
  if (!takesUdp(service)) return [];
  const part = FLOWS.size / limited.filter(takesUdp).length / 2;
  const rate = `limit rate ${atLeastOne(part / FLOWS.timeout)}/second burst ${atLeastOne(part)} packets`;
  return service.ways.map(
    ({ family }) =>
      `meta nfproto ${family} meta l4proto udp ${rate} add @${FLOW_SETS[family]} { ${flowOf(family)} }`,
  );
}

export function takesUdp({ exposure }: Service): boolean {
  return exposure.protocol !== 'tcp';
}

function flowOf(family: Family): string {
  const ip = family === 'ipv4' ? 'ip' : 'ip6';
  return `${ip} saddr . udp sport . ${ip} daddr . udp dport`;
}

function atLeastOne(number: number): number {
  return Math.max(1, Math.floor(number));
}

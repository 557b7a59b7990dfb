/** Counters of exposed services: what each is called, and what such a name says. */
import { formatService, parseService, type Exposure } from '../config/exposure.ts';
import type { PublicAddress, Service } from '../reach/services.ts';

export type CounterNames = {
  /** New connections that were let in. */
  readonly connections: string;
  /** What was forwarded. */
  readonly bytes: string;
  /** New connections beyond the limits. */
  readonly refused: string;
};

/** Names of a service's counters. */
export function countersOf(service: Service): CounterNames {
  const name = nameOf(service);
  return { connections: `n-${name}`, bytes: `b-${name}`, refused: `r-${name}` };
}

/** Names of the counters of a public address. */
export function countersOfAddress({ peer, ip }: PublicAddress): Omit<CounterNames, 'refused'> {
  const name = `${peer}-ip-${ip.replaceAll(':', '_')}`;
  return { connections: `n-${name}`, bytes: `b-${name}` };
}

/** What a service is called among all peers' of the tunnel. */
export function nameOf({ peer, exposure }: Service): string {
  const { publicIp } = exposure;
  const at = publicIp === undefined ? '' : `-${publicIp.replaceAll(':', '_')}`;
  const bare = formatService({
    ...exposure,
    ...{ publicIp: undefined, targetIp: undefined, targetPort: undefined },
  });
  return `${peer}-${bare}${at}`;
}

const counterName = /^n-.*-(all|(?:tcp|udp)\/\d+(?:-\d+)?)(?:-([0-9a-f._]+))?$/;

/** What a counter of connections counts, which may be another tunnel's; undefined of any other name. */
export function countedService(name: string): Exposure | undefined {
  const [, ports, at] = counterName.exec(name) ?? [];
  if (ports === undefined) return undefined;
  if (at === undefined) return parseService(ports);
  return parseService(`${at.includes('_') ? `[${at.replaceAll('_', ':')}]` : at}:${ports}`);
}

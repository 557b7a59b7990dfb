/** How services that are exposed to the internet are written, and what of them overlaps. */
import {
  familyOf,
  formatPrefix,
  parseInnerIp,
  parseOuterIp,
  parsePort,
  type InnerIp,
  type OuterIp,
  type Prefix,
} from '../addr.ts';
import type { Port } from '../units.ts';
import { isUnicast } from './syntax.ts';

/** Ports of this host whose visitors are sent on to a peer. */
export type Exposure = {
  /** The address of this host that they come to; undefined = any. */
  readonly publicIp: OuterIp | undefined;
  /** `all` = every port of both that nothing else has. */
  readonly protocol: Transport | 'all';
  readonly first: Port;
  /** Not below `first`. */
  readonly last: Port;
  /** Where they are sent: undefined = the peer's own inner address. */
  readonly targetIp: InnerIp | undefined;
  /** The port there; undefined = the same, as it is of a range. */
  readonly targetPort: Port | undefined;
  readonly limits: ExposureLimits;
};

export type Transport = 'tcp' | 'udp';

/** What of visitors is let in; what is undefined has its default. */
export type ExposureLimits = {
  /** Where they may come from; undefined = as of the peer's other services. */
  readonly from: readonly Prefix<OuterIp>[] | undefined;
  /** New connections a second. */
  readonly rate: number | 'none' | undefined;
  /** Connections at one time; undefined = any number. */
  readonly connections: number | undefined;
};

/** What a peer exposes, and to whom. */
export type Exposed = {
  readonly services: readonly Exposure[];
  /** Where visitors may come from; none = from anywhere. */
  readonly from: readonly Prefix<OuterIp>[];
};

const address = String.raw`(\[[0-9a-fA-F:.]+\]|[0-9]+(?:\.[0-9]+){3})`;
const port = '([0-9]+)';
/** `[PUBLIC:]PROTOCOL/PORT[-PORT][:TARGET][:PORT]`, `[PUBLIC:]all[:TARGET]`. */
const shape = new RegExp(
  `^(?:${address}:)?(?:(tcp|udp)/${port}(?:-${port})?|all)(?::${address})?(?::${port})?$`,
);

const [PORT_MIN, PORT_MAX] = ['1', '65535'];

/** One service without limits; undefined for anything else. */
export function parseService(text: string): Exposure | undefined {
  const found = shape.exec(text);
  if (found === null) return undefined;
  const [, publicText, protocol, firstText = PORT_MIN, lastText, targetText, portText] = found;
  const publicIp = read(publicText, (bare) => unicast(parseOuterIp(bare)));
  const targetIp = read(targetText, (bare) => unicast(parseInnerIp(bare)));
  const first = parsePort(firstText);
  const last = parsePort(lastText ?? (protocol === undefined ? PORT_MAX : firstText));
  const targetPort = portText === undefined ? undefined : parsePort(portText);
  if (publicIp === false || targetIp === false || first === undefined) return undefined;
  if (last === undefined || last < first) return undefined;
  if (portText !== undefined && (targetPort === undefined || last !== first)) return undefined;
  if (publicIp && targetIp && familyOf(publicIp) !== familyOf(targetIp)) return undefined;
  return {
    publicIp,
    protocol: protocol === 'tcp' || protocol === 'udp' ? protocol : 'all',
    first,
    last,
    targetIp,
    // The same port is what stands for itself.
    targetPort: targetPort === first ? undefined : targetPort,
    limits: NO_LIMITS,
  };
}

export const NO_LIMITS: ExposureLimits = {
  from: undefined,
  rate: undefined,
  connections: undefined,
};

/** `false` for an address that is wrong; one of IPv6 stands in brackets, and no other. */
function read<T>(
  text: string | undefined,
  parse: (bare: string) => T | undefined,
): T | undefined | false {
  if (text === undefined) return undefined;
  const bare = text.replace(/^\[(.*)\]$/, '$1');
  if (bare.includes(':') !== text.startsWith('[')) return false;
  return parse(bare) ?? false;
}

function unicast<Kind extends InnerIp | OuterIp>(ip: Kind | undefined): Kind | undefined {
  return ip !== undefined && isUnicast(ip) ? ip : undefined;
}

/** As `parseService` reads it: what a service is called. */
export function formatService(service: Exposure): string {
  const { publicIp, targetIp, targetPort } = service;
  return [
    ...(publicIp === undefined ? [] : [bracketed(publicIp)]),
    formatPorts(service),
    ...(targetIp === undefined ? [] : [bracketed(targetIp)]),
    ...(targetPort === undefined ? [] : [targetPort]),
  ].join(':');
}

function formatPorts({ protocol, first, last }: Exposure): string {
  if (protocol === 'all') return protocol;
  return `${protocol}/${first}${last === first ? '' : `-${last}`}`;
}

/** With its limits, as `expose` takes it. */
export function formatExposure(service: Exposure): string {
  const { from, rate, connections } = service.limits;
  return [
    formatService(service),
    ...(from === undefined ? [] : ['from', ...from.map(formatPrefix)]),
    ...(rate === undefined ? [] : ['rate', rate]),
    ...(connections === undefined ? [] : ['connections', connections]),
  ].join(' ');
}

/** An IPv6 address in brackets. */
export function bracketed(ip: InnerIp | OuterIp): string {
  return familyOf(ip) === 'ipv6' ? `[${ip}]` : ip;
}

/** Whether a visitor could mean either. */
export function overlap(a: Exposure, b: Exposure): boolean {
  // What has its port by name has it before `all`.
  if (a.protocol !== b.protocol || a.last < b.first || b.last < a.first) return false;
  const one = familiesAsked(a);
  const other = familiesAsked(b);
  if (one !== undefined && other !== undefined && one !== other) return false;
  return a.publicIp === undefined || b.publicIp === undefined || a.publicIp === b.publicIp;
}

/** The one family that a service is of; undefined = those of the peer. */
export function familiesAsked({ publicIp, targetIp }: Exposure): 'ipv4' | 'ipv6' | undefined {
  const ip = publicIp ?? targetIp;
  return ip && familyOf(ip);
}

/** What is exposed where, of all peers of a tunnel: finds who has the same ports already. */
export class ExposureTable<Holder> {
  /** By protocol and port. */
  readonly #held = new Map<string, { readonly service: Exposure; readonly holder: Holder }[]>();

  /** Adds what a peer exposes, unless any of it is somebody's: then whose, and what. */
  add(
    services: readonly Exposure[],
    holder: Holder,
  ): { readonly service: Exposure; readonly holder: Holder } | undefined {
    for (const service of services) {
      for (const key of keysOf(service)) {
        const other = this.#held.get(key)?.find((held) => overlap(held.service, service));
        if (other && other.holder !== holder) return other;
      }
    }
    for (const service of services) {
      for (const key of keysOf(service)) {
        const held = this.#held.get(key);
        if (held) held.push({ service, holder });
        else this.#held.set(key, [{ service, holder }]);
      }
    }
    return undefined;
  }
}

function* keysOf({ protocol, first, last }: Exposure): Generator<string> {
  if (protocol === 'all') {
    yield protocol;
    return;
  }
  for (let number: number = first; number <= last; number += 1) yield `${protocol}/${number}`;
}

/** What a message expects instead of a service that another peer has. */
export function otherPortsThan(service: Exposure, where: string): string {
  return `other ports than ${where}, which has ${formatService(service)}`;
}

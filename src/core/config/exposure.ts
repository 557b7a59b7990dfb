/** How services that are exposed to the internet are written, and what of them overlaps. */
import {
  familyOf,
  parseInnerIp,
  parseOuterIp,
  parsePort,
  type InnerIp,
  type OuterIp,
  type Prefix,
} from '../addr.ts';
import type { Port } from '../units.ts';
import { EXPOSURES_MAX } from './limits.ts';
import { isUnicast, wrong, type Reading, type Syntax } from './syntax.ts';
import { readPrefixes } from './syntax-peers.ts';

/** Ports of this host whose visitors are sent on to a peer. */
export type Exposure = {
  /** The address of this host that they come to; undefined = any. */
  readonly publicIp: OuterIp | undefined;
  readonly protocol: 'tcp' | 'udp';
  readonly first: Port;
  /** Not below `first`. */
  readonly last: Port;
  /** Where they are sent: undefined = the peer's own inner address. */
  readonly targetIp: InnerIp | undefined;
  /** The port there; undefined = the same, as it is of a range. */
  readonly targetPort: Port | undefined;
};

/** What a peer exposes, and to whom. */
export type Exposed = {
  readonly services: readonly Exposure[];
  /** Where visitors may come from; none = from anywhere. */
  readonly from: readonly Prefix<OuterIp>[];
};

/** What stands for an empty list. */
const NONE = 'none';

const SERVICES =
  'none, or services as in tcp/443, tcp/2222:22, udp/27015-27030, tcp/8443:192.168.1.10:443 or ' +
  `198.51.100.7:tcp/443: at most ${EXPOSURES_MAX}, with commas or spaces between; IPv6 addresses in brackets`;

/** `expose`. */
export const exposureList: Syntax<readonly Exposure[]> = {
  placeholder: 'SERVICES',
  expected: SERVICES,
  read(text) {
    const parts = text.split(/[\s,]+/).filter((part) => part !== '' && part !== NONE);
    if (parts.length > EXPOSURES_MAX) return wrong(SERVICES);
    const services: Exposure[] = [];
    for (const part of parts) {
      const service = parseExposure(part);
      if (service === undefined) return wrong(SERVICES);
      const other = services.find((one) => overlap(one, service));
      if (other) return wrong(`ports that differ: ${formatExposure(other)} has those of ${part}`);
      services.push(service);
    }
    return { ok: true, value: services };
  },
};

const SOURCES = 'none, or prefixes as in 203.0.113.0/24, 2001:db8::/32';

/** `expose-from`. */
export const sourceList: Syntax<readonly Prefix<OuterIp>[]> = {
  placeholder: 'PREFIXES',
  expected: SOURCES,
  read(text): Reading<readonly Prefix<OuterIp>[]> {
    if (text === '' || text === NONE) return { ok: true, value: [] };
    return readPrefixes(text, parseOuterIp, SOURCES);
  },
};

const address = String.raw`(\[[0-9a-fA-F:.]+\]|[0-9]+(?:\.[0-9]+){3})`;
const port = '([0-9]+)';
/** `[PUBLIC:]PROTOCOL/PORT[-PORT][:TARGET][:PORT]`. */
const shape = new RegExp(
  `^(?:${address}:)?(tcp|udp)/${port}(?:-${port})?(?::${address})?(?::${port})?$`,
);

/** One service; undefined for anything else. */
export function parseExposure(text: string): Exposure | undefined {
  const found = shape.exec(text);
  if (found === null) return undefined;
  const [, publicText, protocol, firstText = '', lastText, targetText, portText] = found;
  const publicIp = read(publicText, (bare) => unicast(parseOuterIp(bare)));
  const targetIp = read(targetText, (bare) => unicast(parseInnerIp(bare)));
  const first = parsePort(firstText);
  const last = lastText === undefined ? first : parsePort(lastText);
  const targetPort = portText === undefined ? undefined : parsePort(portText);
  if (publicIp === false || targetIp === false || first === undefined) return undefined;
  if (last === undefined || last < first) return undefined;
  if (portText !== undefined && (targetPort === undefined || last !== first)) return undefined;
  if (publicIp && targetIp && familyOf(publicIp) !== familyOf(targetIp)) return undefined;
  return {
    publicIp,
    protocol: protocol === 'tcp' ? 'tcp' : 'udp',
    first,
    last,
    targetIp,
    // The same port is what stands for itself.
    targetPort: targetPort === first ? undefined : targetPort,
  };
}

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

/** As `parseExposure` reads it. */
export function formatExposure(service: Exposure): string {
  const { publicIp, protocol, first, last, targetIp, targetPort } = service;
  return [
    ...(publicIp === undefined ? [] : [bracketed(publicIp)]),
    `${protocol}/${first}${last === first ? '' : `-${last}`}`,
    ...(targetIp === undefined ? [] : [bracketed(targetIp)]),
    ...(targetPort === undefined ? [] : [targetPort]),
  ].join(':');
}

/** An IPv6 address in brackets. */
export function bracketed(ip: InnerIp | OuterIp): string {
  return familyOf(ip) === 'ipv6' ? `[${ip}]` : ip;
}

/** Whether a visitor could mean either. */
export function overlap(a: Exposure, b: Exposure): boolean {
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
  for (let number: number = first; number <= last; number += 1) yield `${protocol}/${number}`;
}

/** What a message expects instead of a service that another peer has. */
export function otherPortsThan(service: Exposure, where: string): string {
  return `other ports than ${where}, which has ${formatExposure(service)}`;
}

import { parseInnerIp, type InnerIp } from '../addr.ts';
import { parseDecimal, syntax } from './syntax.ts';

/** Where the routes of `allowed-ips` stand; see docs/MANUAL.md. */
export type RoutingTable = 'main' | 'auto' | 'off' | number;

/** What may leave beside the tunnel. */
export type KillSwitch = 'strict' | 'lan';

/** Name servers, and the domains that they are asked for; a name with `~` before it is not searched in. */
export type DnsServers = {
  readonly servers: readonly InnerIp[];
  readonly domains: readonly string[];
};

const NAMED = ['main', 'auto', 'off'] as const;
/** Those of the kernel: default, main and local (linux/rtnetlink.h, rt_class_t). */
const KERNEL_TABLES = new Set([253, 254, 255]);

export const tableValue = {
  ...syntax<RoutingTable>(
    'TABLE',
    "main, auto, off, or the number of a routing table that is not the kernel's (253 to 255)",
    (text) => {
      const named = NAMED.find((name) => name === text);
      if (named !== undefined) return named;
      const number = parseDecimal(text, 1, 0xffff_ffff);
      return number === undefined || KERNEL_TABLES.has(number) ? undefined : number;
    },
  ),
  choices: NAMED,
};

const DOMAIN = /^~?(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)+$|^~\.$/;
const DNS_MAX = 16;

export const dnsServers = syntax<DnsServers>(
  'SERVERS',
  'addresses of name servers, and domains, with commas between, as in 1.1.1.1, fd00::1, ~example.com',
  (text) => {
    const parts = text.split(/[\s,]+/).filter((part) => part !== '');
    const servers = parts.flatMap((part) => parseInnerIp(part) ?? []);
    const domains = parts.filter((part) => parseInnerIp(part) === undefined);
    const sound = domains.every((domain) => domain.length <= 254 && DOMAIN.test(domain));
    // What is all digits and dots is an address that is none.
    const mistyped = domains.some((domain) => /^[0-9.]+$/.test(domain));
    const wrong = servers.length === 0 || parts.length > DNS_MAX || !sound || mistyped;
    return wrong ? undefined : { servers, domains };
  },
);

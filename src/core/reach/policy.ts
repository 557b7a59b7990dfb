/**
 * How what a client sends to `allowed-ips` gets into the tunnel though its outer packets may not: the routes to them
 * stand in a table of their own, and two rules ask it after everything of the main table but its default route.
 * Addresses that must stay outside, the server's before all, have a `throw` route there: whoever looks them up goes
 * on to the main table, whatever is sent, by whom, with what mark, on every data plane, and so does the check of where
 * packets from there may come from (rp_filter).
 */
import { bitsOf, familyOf, type Family, type Ip, type OuterIp, type Prefix } from '../addr.ts';
import { plainPriority, RT_TABLE_MAIN, type Route, type RouteSpec } from '../netlink/route.ts';
import type { RuleSpec } from '../netlink/rule.ts';
import type { IfIndex } from '../units.ts';

/** Rules shortly before those of the main table (32766): what others have put before stays before. */
const PRIORITY = 32_600;
/** Before them, whoever has them: the rule of what stays beside tunnels. */
export const PRIORITY_BESIDE = 32_500;
const PRIORITY_STEP = 10;
const RULES = 2;

/** The first of two priorities that nobody has. */
export function freePriority(taken: Iterable<number>, from = PRIORITY): number {
  const there = new Set(taken);
  let priority = from;
  while (Array.from({ length: RULES }, (_, n) => priority + n).some((one) => there.has(one))) {
    priority -= PRIORITY_STEP;
  }
  return priority;
}

/** In the order in which they are to be made: between the first and the second nothing is captured yet. */
export function policyRules(
  family: Family,
  { table, priority }: { readonly table: number; readonly priority: number },
  protocol: number,
): readonly RuleSpec[] {
  return [
    { family, priority, table: RT_TABLE_MAIN, protocol, suppressLength: 0 },
    { family, priority: priority + 1, table, protocol },
  ];
}

export type PolicyRoutes = {
  readonly table: number;
  readonly protocol: number;
  readonly prefixes: readonly Prefix[];
  /** What must not go into the tunnel. */
  readonly outside: Iterable<OuterIp>;
  /** The tunnel device, while it is there and up. */
  readonly device: IfIndex | undefined;
  /** What the way to the server takes where that is less than the device does; `none` of a family that it takes none of. */
  readonly mtu: Readonly<Partial<Record<Family, number | 'none'>>>;
};

/** What belongs into the table, of a family; what stays outside comes first, before anything is led in. */
export function policyRoutes(
  family: Family,
  { table, protocol, prefixes, outside, device, mtu: mtus }: PolicyRoutes,
): readonly RouteSpec[] {
  const common = { table, protocol, priority: plainPriority(family) };
  const mtu = mtus[family];
  const way = mtu === 'none' ? ({ type: 'unreachable' } as const) : { oif: device, mtu };
  const thrown = [...outside]
    .filter((ip) => familyOf(ip) === family)
    .map((ip): RouteSpec => ({
      ...common,
      destination: ip,
      prefix: bitsOf(family),
      type: 'throw',
    }));
  const led = prefixes
    .filter(({ ip }) => familyOf(ip) === family)
    .map(({ ip, length }): RouteSpec => ({ ...common, ...way, destination: ip, prefix: length }));
  return device === undefined ? thrown : [...thrown, ...led];
}

/** Whether a route of the kernel's is this one. */
export function isRoute(there: Route, spec: RouteSpec): boolean {
  const type = spec.type ?? 'unicast';
  return (
    isSameKey(there, spec) &&
    there.type === type &&
    (type !== 'unicast' || (there.oif === spec.oif && there.mtu === spec.mtu))
  );
}

/** Whether the one takes the other's place in a table. */
export function isSameKey(
  a: { readonly destination: Ip; readonly prefix: number },
  b: { readonly destination: Ip; readonly prefix: number },
): boolean {
  return a.destination === b.destination && a.prefix === b.prefix;
}

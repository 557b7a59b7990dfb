import { formatPrefix, type Ip, type OuterIp, type Prefix } from '../../core/addr.ts';
import { capturesOuter } from '../../core/captures-outer.ts';
import { carries } from '../../core/config/families.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { RT_TABLE_MAIN } from '../../core/netlink/route.ts';
import type { Port } from '../../core/units.ts';
import type { RouteChange, RouteNetlink, RouteSpec } from '../netlink/route.ts';
import { RTPROT_IPIPOU } from './route-protocol.ts';

/** Plus the tunnel's port: no route that anybody prefers has such a metric, and no two tunnels share one. */
const LAST_RESORT_METRIC = 4_000_000_000;

/**
 * Routes of the last resort, `unreachable`, to prefixes of the peers that a tunnel knows, so that what is meant for
 * them does not leave by the default route where no route out of a device of ours leads there: on `fou` to all,
 * since a peer that is not admitted has no device; else to the IPv6 of those whose way takes no IPv6. What could
 * stop the outer path is not among them.
 */
export class UnreachableRoutes {
  readonly #route: RouteNetlink;
  readonly #metric: number;
  readonly #made = new Map<string, Prefix<Ip>>();

  constructor(route: RouteNetlink, port: Port) {
    this.#route = route;
    this.#metric = LAST_RESORT_METRIC + port;
  }

  has(destination: Ip, length: number): boolean {
    return this.#made.has(formatPrefix({ ip: destination, length }));
  }

  /** Makes the routes exactly these, of all that the kernel has with this tunnel's metric. */
  async reconcile(prefixes: readonly Prefix<Ip>[]): Promise<void> {
    const there = await this.#route.routes({ table: RT_TABLE_MAIN, protocol: RTPROT_IPIPOU });
    this.#made.clear();
    for (const { destination, prefix, priority } of there) {
      if (priority !== this.#metric) continue;
      this.#made.set(...keyed({ ip: destination, length: prefix }));
    }
    await this.set(prefixes);
  }

  /** Makes the routes exactly these, of those that we know of. Rejects with the first failure. */
  async set(prefixes: readonly Prefix<Ip>[]): Promise<void> {
    const wanted = new Map(prefixes.map(keyed));
    const changes: RouteChange[] = [];
    for (const [key, prefix] of this.#made) {
      if (!wanted.has(key)) changes.push({ kind: 'remove', spec: this.#spec(prefix) });
    }
    for (const [key, prefix] of wanted) {
      if (!this.#made.has(key)) changes.push({ kind: 'replace', spec: this.#spec(prefix) });
    }
    const failures = await this.#route.changeRoutes(changes);
    const failed = new Set(failures.map(({ change }) => change));
    for (const change of changes) {
      if (failed.has(change)) continue;
      const [key, prefix] = keyed({ ip: change.spec.destination, length: change.spec.prefix });
      if (change.kind === 'remove') this.#made.delete(key);
      else this.#made.set(key, prefix);
    }
    const [failure] = failures;
    if (failure) throw failure.error;
  }

  /** Takes away the routes that hold an outer address: packets of a tunnel go there. */
  async clear(outer: OuterIp): Promise<void> {
    const kept = [...this.#made.values()].filter((prefix) => !capturesOuter(prefix, outer));
    if (kept.length < this.#made.size) await this.set(kept);
  }

  /** Puts back what somebody removed; says whether anything was missing. */
  async repair(): Promise<boolean> {
    const wanted = [...this.#made.values()];
    const before = await this.#route.routes({ table: RT_TABLE_MAIN, protocol: RTPROT_IPIPOU });
    const there = before.filter(({ priority }) => priority === this.#metric).length;
    if (there >= wanted.length) return false;
    await this.reconcile(wanted);
    return true;
  }

  #spec({ ip, length }: Prefix<Ip>): RouteSpec {
    return {
      destination: ip,
      prefix: length,
      type: 'unreachable',
      protocol: RTPROT_IPIPOU,
      priority: this.#metric,
    };
  }
}

function keyed(prefix: Prefix<Ip>): [key: string, prefix: Prefix<Ip>] {
  return [formatPrefix(prefix), prefix];
}

/** For a tunnel whose peers always have a device: there is use for such routes where IPv6 is carried. */
export function lastResort(
  route: RouteNetlink,
  { inner, outer }: Pick<TunnelConfig, 'inner' | 'outer'>,
): UnreachableRoutes | undefined {
  return carries(inner, 'ipv6') ? new UnreachableRoutes(route, outer.localPort) : undefined;
}

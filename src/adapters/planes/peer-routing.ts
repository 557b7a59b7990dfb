import {
  formatPrefix,
  hostPrefix,
  isHostOf,
  type Ip,
  type OuterIp,
  type Path,
  type Prefix,
} from '../../core/addr.ts';
import { capturesOuter } from '../../core/captures-outer.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import type { PlanePeer } from '../../ports/data-plane.ts';
import type { Log } from '../../ports/log.ts';
import type { PeerRouteFailure } from './peer-routes.ts';

/**
 * What a peer gets routes to in the main table. Where everything may be behind it, the others are the
 * administrator's. With `table` they are led elsewhere (adapters/reach/policy-routing.ts), with `auto` only what could
 * take the outer path in: what is narrower has to compete with the routes that the host has.
 */
export function routedPrefixes(
  { innerIps, allowedIps, remote }: Pick<PlanePeer, 'innerIps' | 'allowedIps' | 'remote'>,
  { table }: Pick<TunnelConfig, 'table'>,
): readonly Prefix[] {
  if (allowedIps === 'any') return innerIps.map((ip) => hostPrefix(ip));
  if (table === undefined) return allowedIps;
  return allowedIps.filter(
    (prefix) => isHostOf(prefix, innerIps) || (table === 'auto' && !capturesOuter(prefix, remote)),
  );
}

/** Where a peer's outer packets go, as far as is known: where it is admitted, else where its config has it. */
export function outerOf({
  path,
  remote,
}: {
  readonly path: Path | undefined;
  readonly remote?: OuterIp | undefined;
}): OuterIp | undefined {
  return path?.remote.ip ?? remote;
}

/** Tries again what another route was in the way of. */
export async function retryRoutes(
  log: Log,
  routes: { retry(): Promise<readonly Prefix<Ip>[]> },
): Promise<void> {
  for (const prefix of await routes.retry())
    log('info', 'a route to a peer is made after all', { prefix: formatPrefix(prefix) });
}

/** A peer without one of its routes is better than no peer: it is said and gone on. */
export function warnOfRoutes(log: Log, failures: readonly PeerRouteFailure[]): void {
  for (const { prefix, error } of failures) {
    const fields = { prefix: formatPrefix(prefix), error: error.message };
    log('warn', 'a route to a peer could not be made', fields);
  }
}

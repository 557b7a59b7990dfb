import { formatPrefix, hostPrefix, type OuterIp, type Path, type Prefix } from '../../core/addr.ts';
import type { PlanePeer } from '../../ports/data-plane.ts';
import type { Log } from '../../ports/log.ts';
import type { PeerRouteFailure } from './peer-routes.ts';

/** What a peer gets routes to: where everything may be behind it, the others are the administrator's. */
export function routedPrefixes({
  innerIps,
  allowedIps,
}: Pick<PlanePeer, 'innerIps' | 'allowedIps'>): readonly Prefix[] {
  return allowedIps === 'any' ? innerIps.map((ip) => hostPrefix(ip)) : allowedIps;
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

/** A peer without one of its routes is better than no peer: it is said and gone on. */
export function warnOfRoutes(log: Log, failures: readonly PeerRouteFailure[]): void {
  for (const { prefix, error } of failures) {
    const fields = { prefix: formatPrefix(prefix), error: error.message };
    log('warn', 'a route to a peer could not be made', fields);
  }
}

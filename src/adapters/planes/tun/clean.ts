import type { PlaneContext } from '../../../ports/data-plane.ts';
import { openRouteNetlink } from '../../netlink/route.ts';
import { lastResort } from '../unreachable-routes.ts';

/** The kernel took device and socket away with the process, and the routes out of that. */
export async function clean({
  config,
  journal,
}: Pick<PlaneContext, 'config' | 'journal'>): Promise<void> {
  using route = openRouteNetlink();
  await lastResort(route, config)?.reconcile([]);
  journal.save(null);
}

import type { Link, RouteNetlink } from '../../netlink/route.ts';
import { openRouteNetlink } from '../../netlink/route.ts';
import { openTrafficControl, type TrafficControl } from '../../netlink/tc.ts';
import { releaseDevice } from './attachments.ts';
import { UnreachableRoutes } from '../unreachable-routes.ts';
import type { BpfRecord } from './record.ts';

/**
 * Removes everything that a record names, whether or not it is still there: the filters first, so that
 * nothing is put into a device that is being removed. With the last filter go programs and maps.
 */
export async function removeLeftovers(record: BpfRecord): Promise<void> {
  using route = openRouteNetlink();
  using tc = openTrafficControl();
  for (const attached of record.attached) {
    const link = await route.linkByIndex(attached.index);
    if (link?.name === attached.name) await releaseDevice(tc, attached, record.port);
  }
  const near = await findPair(route, record.near, record.far);
  if (near) await route.removeLink(near.index);
  await new UnreachableRoutes(route, record.port).reconcile([]);
}

/** The near end of a pair of these names. */
async function findPair(route: RouteNetlink, near: string, far: string): Promise<Link | undefined> {
  const [one, other] = await Promise.all([route.linkByName(near), route.linkByName(far)]);
  return one?.kind === 'veth' && other?.kind === 'veth' && one.parent === other.index
    ? one
    : undefined;
}

/**
 * Removes what a run left that wrote nothing down, or whose record is lost: filters of this port's
 * tunnel, wherever they are. The pair is removed only where such a filter is on its near end.
 */
export async function removeOrphans(
  route: RouteNetlink,
  tc: TrafficControl,
  orphan: Pick<BpfRecord, 'port' | 'near' | 'far'>,
): Promise<boolean> {
  const near = await findPair(route, orphan.near, orphan.far);
  if (!near) return false;
  const filters = await tc.filters(near.index, 'egress');
  if (!filters.some(({ handle, bpf }) => handle === orphan.port && bpf?.name.startsWith('ipipou_')))
    return false;
  for (const { index, name } of await route.links()) {
    await releaseDevice(tc, { index, name, madeQdisc: false }, orphan.port);
  }
  await route.removeLink(near.index);
  return true;
}

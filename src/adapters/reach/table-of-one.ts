import { IpipouError } from '../../core/errors.ts';
import type { RouteNetlink } from '../netlink/route.ts';
import { RTPROT_IPIPOU } from '../planes/route-protocol.ts';

/** Rejects where the routing table of that number has routes of another tunnel: each would take the other's away. */
export async function requireTable(
  route: RouteNetlink,
  table: number,
  { option, device }: { readonly option: string; readonly device: string },
): Promise<void> {
  for (const { oif } of await route.routes({ table, protocol: RTPROT_IPIPOU })) {
    const link = oif === undefined ? undefined : await route.linkByIndex(oif);
    if (link === undefined || link.name === device) continue;
    throw new IpipouError(
      'arguments',
      `${option} ${table}: the tunnel ${link.name} has its routes in that table`,
      { hint: 'give each tunnel a number of its own' },
    );
  }
}

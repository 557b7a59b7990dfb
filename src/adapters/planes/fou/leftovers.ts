import type { Port } from '../../../core/units.ts';
import { openFouNetlink } from '../../netlink/fou.ts';
import { openRouteNetlink, type RouteNetlink } from '../../netlink/route.ts';
import { openNft } from '../../nft/nft.ts';
import { AltAddresses } from './alt-addresses.ts';
import { isDeviceNameOf } from './device-names.ts';
import { removeGuardRules } from './guard.ts';
import type { FouRecord } from './record.ts';
import { UnreachableRoutes } from '../unreachable-routes.ts';
import { isTunnelOfPort } from './kinds.ts';

/**
 * Removes what a dead run left: its tunnel devices, the alternative addresses, the routes of the last
 * resort, the FOU port when that run had made it, the rules. Quiet about what is gone. The order is
 * that of closing: the guard goes last. With `but`, a run that has that port follows, and takes the routes
 * of the last resort over as they are.
 */
export async function removeLeftovers(
  record: FouRecord,
  but?: { readonly port: Port },
): Promise<void> {
  const route = openRouteNetlink();
  try {
    await removeDevices(route, record, new Set());
    const alts = new AltAddresses(route);
    alts.adopt(record.madeAlts);
    await alts.tidy();
    if (record.port !== but?.port) await new UnreachableRoutes(route, record.port).reconcile([]);
  } finally {
    route.close();
  }
  if (record.madeListeners.length > 0) {
    const fou = openFouNetlink();
    try {
      for (const family of record.madeListeners) await fou.remove({ family, port: record.port });
    } finally {
      fou.close();
    }
  }
  const nft = openNft();
  try {
    removeGuardRules(nft, record);
  } finally {
    nft.close();
  }
}

/** Removes a tunnel's devices, whoever's they were, but those to keep. */
export async function removeDevices(
  route: RouteNetlink,
  tunnel: { readonly device: string; readonly port: Port },
  keep: ReadonlySet<string>,
): Promise<void> {
  for (const link of await route.links()) {
    const ours = isTunnelOfPort(link, tunnel.port) && isDeviceNameOf(tunnel.device, link.name);
    if (ours && !keep.has(link.name)) await route.removeLink(link.index);
  }
}

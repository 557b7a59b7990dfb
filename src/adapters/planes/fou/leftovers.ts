import { openFouNetlink } from '../../netlink/fou.ts';
import { openRouteNetlink } from '../../netlink/route.ts';
import { openNft } from '../../nft/nft.ts';
import { removeGuardRules } from './guard.ts';
import { removeListener } from './listener.ts';
import { LocalAlt } from './local-alt.ts';
import type { FouRecord } from './record.ts';
import { isTunnelOfPort } from './tunnel-device.ts';

/**
 * Removes what a dead run left: its tunnel device, the alternative address, the FOU port when that
 * run had made it, the rules. Quiet about what is gone. The order is that of closing: the guard
 * goes last.
 */
export async function removeLeftovers(record: FouRecord): Promise<void> {
  const route = openRouteNetlink();
  try {
    const link = await route.linkByName(record.device);
    if (link && isTunnelOfPort(link, record.port)) await route.removeLink(link.index);
    if (record.alt !== undefined) {
      const alt = new LocalAlt(route, record.alt);
      alt.adopt(record.madeAlt);
      await alt.remove();
    }
  } finally {
    route.close();
  }
  if (record.madeListener) {
    const fou = openFouNetlink();
    try {
      await removeListener(fou, record.port);
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

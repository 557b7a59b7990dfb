import { addToIp, type InnerIp } from '../addr.ts';
import { ClaimTable, claimsOf } from './peer-claims.ts';
import type { PeerBase } from './peer-view.ts';
import { isUnicast } from './syntax.ts';
import type { PeerConfig } from './tunnel-config.ts';

/** The next addresses behind the tunnel's own that nobody has, one of each of its families. */
export function freeAddresses(
  peers: readonly PeerConfig[],
  { tunnelIps, role }: PeerBase,
): readonly InnerIp[] {
  const taken = new ClaimTable<true>();
  for (const peer of peers) for (const claim of claimsOf(peer, role)) taken.add(claim, true);
  return tunnelIps.map((own) => {
    let free = addToIp(own, 1);
    while (taken.hasAddress(free) || !isUnicast(free)) free = addToIp(free, 1);
    return free;
  });
}

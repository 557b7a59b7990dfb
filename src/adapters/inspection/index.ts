import { readFileSync } from 'node:fs';
import { parseOuterIp } from '../../core/addr.ts';
import type { HostInspection } from '../../ports/inspection.ts';
import { adjtimex } from '../ffi/adjtimex.ts';
import { openRouteNetlink } from '../netlink/route.ts';
import { readFirewall } from './firewall.ts';
import { portHolders } from './port-holders.ts';

/** struct timex (linux/timex.h) with room; the clock's state when nothing synchronizes it. */
const TIMEX_ROOM = 256;
const TIME_ERROR = 5;

/** Looks into the network namespace of the calling thread. */
export function openInspection(): HostInspection {
  const route = openRouteNetlink();
  return {
    async device(name) {
      const link = await route.linkByName(name);
      if (link === undefined) return { name, exists: false, up: false, addresses: [] };
      const addresses = await route.addresses({ index: link.index });
      return {
        name,
        exists: true,
        up: link.up,
        addresses: addresses
          .filter(({ scope }) => scope === 'global')
          .flatMap(({ ip }) => parseOuterIp(ip) ?? []),
      };
    },
    async learntMtu(remote, device) {
      const oif = device === undefined ? undefined : (await route.linkByName(device))?.index;
      return (await route.routeTo(remote, { oif }))?.mtu;
    },
    holdersOf: portHolders,
    firewall: readFirewall,
    setting(path) {
      try {
        return readFileSync(`/proc/sys/${path}`, 'utf8').trim();
      } catch {
        return undefined;
      }
    },
    clockKept() {
      const state = adjtimex(new Uint8Array(TIMEX_ROOM));
      return state < 0 ? undefined : state !== TIME_ERROR;
    },
    close: () => route.close(),
  };
}

import type { PlaneFactory } from '../../../ports/data-plane.ts';
import { openRouteNetlink } from '../../netlink/route.ts';
import { lastResort } from '../unreachable-routes.ts';
import { CAPABILITIES } from './limits.ts';
import { TunPlane } from './plane.ts';
import { probeRequirements } from './requirements.ts';

/** Forwarding in user space, over /dev/net/tun, in a thread of its own. */
export const tunPlane: PlaneFactory = {
  name: 'tun',
  capabilities: CAPABILITIES,
  probe: ({ load }) => probeRequirements(load),
  open: (context) => TunPlane.open(context),
  clean: async ({ config, journal }) => {
    // The kernel took device and socket away with the process, and the routes out of that.
    using route = openRouteNetlink();
    await lastResort(route, config)?.reconcile([]);
    journal.save(null);
  },
};

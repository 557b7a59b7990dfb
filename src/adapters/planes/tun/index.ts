import type { PlaneFactory } from '../../../ports/data-plane.ts';
import { CAPABILITIES } from './limits.ts';

/** Forwarding in user space, over /dev/net/tun, in a thread of its own. Its parts are loaded when they are needed. */
export const tunPlane: PlaneFactory = {
  name: 'tun',
  capabilities: CAPABILITIES,
  probe: async ({ load }) => (await import('./requirements.ts')).probeRequirements(load),
  prepare: async () => {
    (await import('./spare-thread.ts')).prepareThread();
    await import('./plane.ts');
  },
  open: async (context) => (await import('./plane.ts')).TunPlane.open(context),
  clean: async (left) => (await import('./clean.ts')).clean(left),
};

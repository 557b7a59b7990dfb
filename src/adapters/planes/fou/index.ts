import type { PlaneFactory } from '../../../ports/data-plane.ts';
import { CAPABILITIES } from './limits.ts';

/** The kernel's FOU and IPIP, guarded by nftables, authentication by NFQUEUE. Its parts are loaded when they are needed. */
export const fouPlane: PlaneFactory = {
  name: 'fou',
  capabilities: CAPABILITIES,
  probe: async ({ load }) => (await import('./requirements.ts')).probeRequirements(load),
  prepare: async () => void (await import('./plane.ts')),
  open: async (context) => (await import('./plane.ts')).FouPlane.open(context),
  clean: async (left) => (await import('./clean.ts')).clean(left),
};

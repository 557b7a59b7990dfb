import type { PlaneFactory } from '../../../ports/data-plane.ts';
import { CAPABILITIES } from './limits.ts';

/** eBPF programs on tc hooks: many peers on one device, without the kernel's FOU. Its parts are loaded when they are needed. */
export const bpfPlane: PlaneFactory = {
  name: 'bpf',
  capabilities: CAPABILITIES,
  probe: async ({ trial }) => (await import('./requirements.ts')).probeRequirements(trial),
  prepare: async () => void (await import('./plane.ts')),
  open: async (context) => (await import('./plane.ts')).BpfPlane.open(context),
  clean: async (left) => (await import('./clean.ts')).clean(left),
};

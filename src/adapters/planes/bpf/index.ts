import type { PlaneFactory } from '../../../ports/data-plane.ts';
import { removeLeftovers } from './leftovers.ts';
import { CAPABILITIES } from './limits.ts';
import { BpfPlane } from './plane.ts';
import { parseRecord } from './record.ts';
import { probeRequirements } from './requirements.ts';

/** eBPF programs on tc hooks: many peers on one device, without the kernel's FOU. */
export const bpfPlane: PlaneFactory = {
  name: 'bpf',
  capabilities: CAPABILITIES,
  probe: () => probeRequirements(),
  open: (context) => BpfPlane.open(context),
  clean: async ({ journal }) => {
    const record = parseRecord(journal.load());
    if (record) await removeLeftovers(record);
    journal.save(null);
  },
};

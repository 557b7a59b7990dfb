import type { PlaneContext, PlaneFactory } from '../../../ports/data-plane.ts';
import { removeLeftovers } from './leftovers.ts';
import { CAPABILITIES } from './limits.ts';
import { FouPlane } from './plane.ts';
import { newRecord, parseRecord } from './record.ts';
import { probeRequirements } from './requirements.ts';

/** The kernel's FOU and IPIP, guarded by nftables, authentication by NFQUEUE. */
export const fouPlane: PlaneFactory = {
  name: 'fou',
  capabilities: CAPABILITIES,
  probe: ({ load }) => probeRequirements(load),
  open: (context) => FouPlane.open(context),
  clean,
};

async function clean({
  config,
  journal,
}: Pick<PlaneContext, 'config' | 'journal' | 'log'>): Promise<void> {
  await removeLeftovers(parseRecord(journal.load()) ?? newRecord(config));
  journal.save(null);
}

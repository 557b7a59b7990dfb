import type { PlaneContext } from '../../../ports/data-plane.ts';
import { removeLeftovers } from './leftovers.ts';
import { parseRecord } from './record.ts';

export async function clean({ journal }: Pick<PlaneContext, 'journal'>): Promise<void> {
  const record = parseRecord(journal.load());
  if (record) await removeLeftovers(record);
  journal.save(null);
}

import type { PlaneContext } from '../../../ports/data-plane.ts';
import { removeLeftovers } from './leftovers.ts';
import { newRecord, parseRecord } from './record.ts';

export async function clean({
  config,
  journal,
}: Pick<PlaneContext, 'config' | 'journal'>): Promise<void> {
  await removeLeftovers(parseRecord(journal.load()) ?? newRecord(config));
  journal.save(null);
}

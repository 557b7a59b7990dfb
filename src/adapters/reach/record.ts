import type { Mark } from '../../core/config/syntax-reach.ts';
import type { PlaneJournal } from '../../ports/data-plane.ts';

/** A setting of the host below /proc/sys, what it was, and what it was made. */
export type HeldSetting = {
  readonly path: string;
  readonly before: string;
  readonly value: string;
};

/** What a run has changed of the host, for its end or for a later one that cleans up. */
export type ReachRecord = {
  readonly exposes: boolean;
  readonly settings: readonly HeldSetting[];
  readonly returnPath: { readonly table: number; readonly mark: Mark } | undefined;
};

const NOTHING: ReachRecord = { exposes: false, settings: [], returnPath: undefined };

/** The record of a journal, which only runs of this program write. */
export function readRecord(journal: PlaneJournal): ReachRecord {
  const found: unknown = journal.load();
  if (typeof found !== 'object' || found === null) return NOTHING;
  return { ...NOTHING, ...found };
}

export function writeRecord(journal: PlaneJournal, news: Partial<ReachRecord>): void {
  const record = { ...readRecord(journal), ...news };
  const empty = !record.exposes && record.settings.length === 0 && record.returnPath === undefined;
  journal.save(empty ? undefined : record);
}

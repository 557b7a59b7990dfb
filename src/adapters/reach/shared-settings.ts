import type { Family } from '../../core/addr.ts';
import { ownTableName } from '../../core/nft/own-table.ts';
import type { ReachContext } from '../../ports/reach.ts';
import type { Nft } from '../nft/nft.ts';
import { readRecord, recordOf, writeRecord, type HeldSetting, type ReachRecord } from './record.ts';
import { forwardsFor, restore, switchedOnBy } from './settings.ts';

/*
 * That this host forwards only for tunnels' sake is known to all of them: who comes later writes down the settings that
 * others hold as if he had changed them, before he looks whether there is something to change. So each can put them
 * back, and the last one does. Who leaves says so first: of two that leave at one time, each may take himself for
 * the last, and neither counts on the other.
 */

/** Which tables there are. */
type Tables = Pick<Nft, 'tables'>;

type Context = Pick<ReachContext, 'journal' | 'others'>;

/** Makes what others hold for the sake of these families ours, too. */
export function share(families: readonly Family[], nft: Tables, context: Context): void {
  const held = new Map<string, HeldSetting>();
  const { settings } = readRecord(context.journal);
  for (const setting of [...settings, ...heldByOthers(living(nft, context))]) {
    const family = forwardsFor(setting);
    const ours = settings.includes(setting) || (family !== undefined && families.includes(family));
    if (ours && !held.has(setting.path)) held.set(setting.path, setting);
  }
  writeRecord(context.journal, { settings: [...held.values()], leaving: false });
}

/** The families that this host forwards only since others have it. */
export function switchedOnByOthers(nft: Tables, context: Context): readonly Family[] {
  return switchedOnBy(heldByOthers(living(nft, context)));
}

/** Puts back what nobody else holds. */
export function giveBack(nft: Tables, context: Context & Pick<ReachContext, 'tell'>): void {
  writeRecord(context.journal, { leaving: true });
  const staying = living(nft, context).filter(({ leaving }) => !leaving);
  restore(context, new Set(heldByOthers(staying).map(({ path }) => path)));
}

function heldByOthers(others: readonly ReachRecord[]): readonly HeldSetting[] {
  return others
    .flatMap(({ settings }) => settings)
    .filter((setting) => forwardsFor(setting) !== undefined);
}

/** Those of other tunnels whose daemon lives, or whose rules do. */
function living(nft: Tables, { others }: Context): readonly ReachRecord[] {
  const tables = new Set(nft.tables('inet'));
  return others()
    .filter(
      ({ device, running }) =>
        running ||
        tables.has(ownTableName('expose', device)) ||
        tables.has(ownTableName('masquerade', device)),
    )
    .map(({ reach }) => recordOf(reach));
}

import type { Reach, ReachContext, ReachHost } from '../../ports/reach.ts';
import { Exposing } from './expose.ts';
import { readRecord } from './record.ts';
import { cleanReturnPath, ReturnPath } from './return-path.ts';

/** Rules and settings of the calling thread's network namespace. */
export const reachHost: ReachHost = {
  async open(context: ReachContext): Promise<Reach> {
    const { config, journal } = context;
    const { returnPath } = readRecord(journal);
    // One that was chosen goes on; one of another config does not.
    if (returnPath && !goesOn(config, returnPath)) await cleanReturnPath(context);
    const path = config.returnPath && (await ReturnPath.open(context));
    const exposing = new Exposing(context);
    return {
      async expose(peers) {
        exposing.set(peers);
      },
      counts: () => exposing.counts(),
      async close() {
        try {
          exposing.close();
        } finally {
          await path?.close();
        }
      },
    };
  },
  async clean(context) {
    new Exposing(context).close();
    await cleanReturnPath(context);
  },
};

function goesOn(
  { returnPath: wanted }: ReachContext['config'],
  { table, mark }: NonNullable<ReturnType<typeof readRecord>['returnPath']>,
): boolean {
  if (wanted === undefined) return false;
  const sameTable = wanted.table === undefined || wanted.table === table;
  const sameMark =
    wanted.mark === undefined ||
    (wanted.mark.value === mark.value && wanted.mark.mask === mark.mask);
  return sameTable && sameMark;
}

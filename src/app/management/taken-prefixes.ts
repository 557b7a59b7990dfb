import { formatPrefix } from '../../core/addr.ts';
import type { TroubleReport } from '../../core/events/trouble.ts';
import { reportTrouble } from '../../core/events/trouble-words.ts';
import type { TakenPrefix } from '../../ports/data-plane.ts';
import { PREFIXES_TOLD } from '../limits.ts';

/** What other routes of the host have: the first in words, and how many more. `named`: whose each is. */
export function takenTroubles(
  taken: readonly TakenPrefix[] = [],
  named = false,
): readonly TroubleReport[] {
  const told = taken
    .slice(0, PREFIXES_TOLD)
    .map(({ peer, prefix, device }) =>
      reportTrouble(
        { kind: 'prefix-taken', prefix: formatPrefix(prefix), device },
        named ? peer : undefined,
      ),
    );
  const prefixes = taken.length - told.length;
  return prefixes > 0 ? [...told, reportTrouble({ kind: 'more-taken', prefixes })] : told;
}

import type { PlaneContext } from '../../../ports/data-plane.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
import type { TrafficControl } from '../../netlink/tc.ts';
import type { Attachments } from './attachments.ts';
import { removeLeftovers, removeOrphans } from './leftovers.ts';
import { findFormerEntries, type FormerEntries } from './peer-entries.ts';
import { parseRecord } from './record.ts';
import type { Ends, TunnelPair } from './tunnel-pair.ts';

export type AdoptionParts = {
  readonly context: PlaneContext;
  readonly route: RouteNetlink;
  readonly tc: TrafficControl;
  readonly pair: TunnelPair;
  readonly attachments: Attachments;
};

/** What goes on: the caller lets go of the entries when their peers have been taken over. */
export type Adoptable = { readonly ends: Ends; readonly entries: FormerEntries };

/**
 * An earlier run's device and programs, where they stand as that run made them, with our names and port,
 * and their maps are of a version that is known. Anything else that it left is removed.
 */
export async function findAdoptable(parts: AdoptionParts): Promise<Adoptable | undefined> {
  const { context, route, tc, pair, attachments } = parts;
  const { localPort: port } = context.config.outer;
  const left = parseRecord(context.journal.load());
  if (!left) {
    if (await removeOrphans(route, tc, { port, near: pair.name, far: pair.farName })) {
      context.log('warn', 'removed a tunnel device that nobody answers for', { device: pair.name });
    }
    return undefined;
  }
  const same = left.port === port && left.near === pair.name;
  const ends = same ? await pair.find() : undefined;
  await attachments.adopt(left.attached);
  const entries = ends && findFormerEntries(attachments.hooks(ends));
  if (ends && entries) return { ends, entries };
  context.log('info', 'removing what an earlier run left; its peers have to authenticate again', {
    device: left.near,
    port: left.port,
  });
  await removeLeftovers(left);
  attachments.forget();
  return undefined;
}

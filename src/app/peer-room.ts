import { IpipouError } from '../core/errors.ts';
import type { DataPlane } from '../ports/data-plane.ts';

/** Throws where a plane cannot carry so many peers; asked before anything is changed. */
export function requireRoom(
  { name, capabilities: { maxPeers } }: Pick<DataPlane, 'name' | 'capabilities'>,
  count: number,
): void {
  if (maxPeers === undefined || count <= maxPeers) return;
  throw new IpipouError(
    'arguments',
    `${count} peers: the ${name} plane carries ${maxPeers} at most`,
    {
      hint: 'choose another plane (dataplane), or spread the peers over several tunnels',
    },
  );
}
